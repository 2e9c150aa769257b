from typing import Literal

import trio

import alloy_trio
from alloy_trio import ToolError, ToolUse, tool
from alloy_trio.providers import Scripted

CELSIUS = {"Bergen": 7, "Lima": 19}


@tool
async def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
    """Report the weather in a city.

    Args:
        city: the city's name
        unit: degrees Celsius or Fahrenheit
    """
    if city not in CELSIUS:
        raise ToolError(f"no station in {city!r}; there are stations in {', '.join(CELSIUS)}")
    degrees = CELSIUS[city] if unit == "C" else CELSIUS[city] * 9 // 5 + 32
    return f"{degrees} {unit}"


async def main() -> None:
    model = Scripted(
        [
            [ToolUse("1", "weather", {"city": "Lima", "unit": "F"}), ToolUse("2", "weather", {"city": "Oz"})],
            "It is 66 F in Lima. I know nothing about Oz.",
        ]
    )
    result = await alloy_trio.run("How is the weather in Lima and in Oz?", provider=model, tools=[weather])
    for call in result.tool_calls:
        print(call.outcome, call.output)
    print(result.text)


trio.run(main)
