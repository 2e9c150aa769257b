"""Where the vendors answer, and how a key is shown to them. Data."""

from __future__ import annotations

from ._http import Host, bearer

ANTHROPIC = Host(
    name="anthropic",
    base_url="https://api.anthropic.com",
    env_vars=("ANTHROPIC_API_KEY",),
    auth=lambda key: ("x-api-key", key),
)
OPENAI = Host(name="openai", base_url="https://api.openai.com/v1", env_vars=("OPENAI_API_KEY",), auth=bearer)
GEMINI = Host(
    name="gemini",
    base_url="https://generativelanguage.googleapis.com",
    env_vars=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    auth=lambda key: ("x-goog-api-key", key),  # never in the address, which ends up in logs
)
XAI = Host(name="xai", base_url="https://api.x.ai/v1", env_vars=("XAI_API_KEY",), auth=bearer)
DEEPSEEK = Host(
    name="deepseek", base_url="https://api.deepseek.com", env_vars=("DEEPSEEK_API_KEY",), auth=bearer
)
MISTRAL = Host(
    name="mistral", base_url="https://api.mistral.ai/v1", env_vars=("MISTRAL_API_KEY",), auth=bearer
)
GROQ = Host(name="groq", base_url="https://api.groq.com/openai/v1", env_vars=("GROQ_API_KEY",), auth=bearer)
TOGETHER = Host(
    name="together", base_url="https://api.together.ai/v1", env_vars=("TOGETHER_API_KEY",), auth=bearer
)
OPENROUTER = Host(
    name="openrouter", base_url="https://openrouter.ai/api/v1", env_vars=("OPENROUTER_API_KEY",), auth=bearer
)
AZURE = Host(
    name="azure",
    base_url=None,  # each customer has one of their own: AZURE_OPENAI_ENDPOINT
    env_vars=("AZURE_OPENAI_API_KEY",),
    auth=lambda key: ("api-key", key),
)
BEDROCK = Host(
    name="bedrock",
    base_url=None,  # each region has one of its own
    env_vars=("AWS_BEARER_TOKEN_BEDROCK",),
    auth=bearer,
    key_required=False,  # without one, requests are signed
)
OLLAMA = Host(
    name="ollama",
    base_url="http://127.0.0.1:11434",  # or OLLAMA_HOST
    env_vars=("OLLAMA_API_KEY",),  # for ollama.com; a local server asks for none
    auth=bearer,
    key_required=False,
)
COMPATIBLE = Host(
    name="openai-compatible",
    base_url=None,
    env_vars=("OPENAI_COMPATIBLE_API_KEY",),
    auth=bearer,
    key_required=False,
)
