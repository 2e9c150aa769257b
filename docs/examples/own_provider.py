import trio

import alloy_trio
from alloy_trio import Completion, CompletionRequest, Message, Usage
from alloy_trio.abc import Provider


class Parrot(Provider):
    """Says what it hears."""

    name = "parrot"
    model = "grey"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Repeat the last message."""
        heard = request.messages[-1].text
        words = len(heard.split())
        return Completion(
            Message.assistant(heard), "end_turn", Usage(input_tokens=words, output_tokens=words), self.model
        )


async def main() -> None:
    result = await alloy_trio.run("Hello there", provider=Parrot())
    print(result.text, result.usage.output_tokens)


trio.run(main)
