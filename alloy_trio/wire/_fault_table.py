"""What vendors write into errors, and what it means. Data.

Vendors' codes are the evidence that counts. Texts count only where vendors give nothing better: an overflow
of the context window, an empty account and a wrong key come as a plain "invalid request" from many of them.
Each text pattern stands beside a real message that it was made for, and a test reads each message with the
whole table.

Codes are compared without case and punctuation (:func:`normal`), since the same one is spelled
``rate_limit_exceeded``, ``RateLimitReached`` or ``rateLimitExceeded`` by different vendors.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["billing", "overflow", "auth", "overloaded", "rate_limit", "server", "rejected"]

PRIORITY: tuple[Kind, ...] = ("billing", "overflow", "auth", "overloaded", "rate_limit", "server", "rejected")
"""Which meaning wins when an error carries several. Anthropic's spent budget is a ``rate_limit_error`` whose
details say so; its overflow is an ``invalid_request_error``."""

GENERIC: frozenset[Kind] = frozenset(("server", "rejected"))
"""Codes of these kinds say little: OpenAI's 401 is an ``invalid_request_error``. The status may say more."""

_CODES: dict[Kind, str] = {
    "billing": (
        "billing_error billing_hard_limit_reached billing_not_active insufficient_quota "
        "insufficient_balance insufficient_credits insufficient_funds credit_balance_too_low "
        "enforced_spend_limit_reached payment_required quota_exceeded ServiceQuotaExceededException "
        "exceeded_current_quota_error"
    ),
    "overflow": (
        "context_length_exceeded context_window_exceeded model_context_window_exceeded "
        "too_many_prompt_tokens TOO_MANY_TOKENS exceed_context_size_error "
        "model_max_prompt_tokens_exceeded"
    ),
    "auth": (
        "authentication_error permission_error invalid_api_key API_KEY_INVALID "
        "API_KEY_SERVICE_BLOCKED invalid_authentication invalid_authentication_error unauthorized "
        "UNAUTHENTICATED PERMISSION_DENIED permission_denied account_deactivated "
        "unsupported_country_region_territory AccessDeniedException UnrecognizedClientException "
        "ExpiredTokenException InvalidSignatureException IncompleteSignatureException "
        "MissingAuthenticationTokenException NotAuthorized OptInRequired"
    ),
    "overloaded": (
        "overloaded_error overloaded server_is_overloaded slow_down UNAVAILABLE "
        "ServiceUnavailableException ServiceUnavailable service_unavailable engine_overloaded "
        "engine_overloaded_error ModelNotReadyException capacity_exceeded"
    ),
    "rate_limit": (
        "rate_limit_error rate_limit_exceeded rate_limit_reached RateLimitReached rate_limit "
        "rate_limited too_many_requests TooManyRequestsException ThrottlingException Throttling "
        "ThrottledException RESOURCE_EXHAUSTED requests_per_minute_limit_exceeded "
        "tokens_per_minute_limit_exceeded"
    ),
    "server": (
        "api_error server_error internal_error internal_server_error InternalServerException "
        "InternalFailure timeout_error INTERNAL UNKNOWN DEADLINE_EXCEEDED ABORTED "
        "vector_store_timeout ModelErrorException ModelTimeoutException ModelStreamErrorException "
        "upstream_error provider_error"
    ),
    "rejected": (
        "invalid_request_error invalid_request INVALID_ARGUMENT FAILED_PRECONDITION OUT_OF_RANGE "
        "NOT_FOUND not_found_error model_not_found DeploymentNotFound ResourceNotFoundException "
        "ValidationException request_too_large invalid_value invalid_prompt unsupported_parameter "
        "unsupported_value missing_required_parameter tool_use_failed content_filter invalid_image "
        "invalid_image_format invalid_image_url image_too_large image_parse_error "
        "unsupported_image_media_type image_file_not_found empty_image_file failed_to_download_image "
        "image_content_policy_violation cyber_policy"
    ),
}


def normal(code: str) -> str:
    """A code without case and punctuation; of Amazon's ``com.amazon…#Code:http://…`` the middle."""
    return re.sub(r"[^a-z0-9]", "", code.partition(":")[0].rpartition("#")[2].lower())


CODES: dict[str, Kind] = {normal(code): kind for kind, codes in _CODES.items() for code in codes.split()}

CODE_PATTERNS: tuple[tuple[str, Kind], ...] = (
    # On normalised codes: organization_spend_limit_exceeded, workspace_spend_limit_exceeded, …
    (r"spendlimit", "billing"),
    # Gemini's quotaId, such as GenerateRequestsPerDayPerProjectPerModel-FreeTier: used up until midnight,
    # although the same error may carry a retryDelay of seconds.
    (r"^generate.*perday", "billing"),
)

STATUSES: dict[int, Kind] = {
    401: "auth",
    402: "billing",
    403: "auth",
    408: "server",
    409: "server",  # a lock that was not granted in time; the vendors' SDKs send it again
    425: "server",
    429: "rate_limit",
    498: "overloaded",  # Groq's flex tier has no capacity
    529: "overloaded",  # Anthropic
}
"""Statuses with a meaning of their own. Any other 5xx is the server's fault, any other 4xx a rejection.
A bare 503 is not called an overload: proxies send it for everything."""


class TextPattern(NamedTuple):
    """A text that decides where no code does: its kind, what to look for, a real message, who writes it."""

    kind: Kind
    expression: str
    message: str
    vendor: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """The expression, compiled when the first error asks: a run without errors need not pay for it."""
        return re.compile(self.expression, re.IGNORECASE)


TEXTS: tuple[TextPattern, ...] = (
    # The conversation does not fit.
    TextPattern(
        "overflow", r"prompt is too long", "prompt is too long: 208310 tokens > 200000 maximum", "Anthropic"
    ),
    TextPattern(
        "overflow",
        r"exceeds? context limit",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease "
        "input length or "
        "`max_tokens` and try again",
        "Anthropic",
    ),
    TextPattern(
        "overflow",
        r"exceeds the context window",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "OpenAI",
    ),
    TextPattern(
        "overflow",
        r"maximum context length",
        "This model's maximum context length is 1048565 tokens. However, you requested 1250025 "
        "tokens (1250025 in the "
        "messages, 0 in the completion). Please reduce the length of the messages or completion.",
        "DeepSeek, vLLM, OpenRouter; as OpenAI without the code",
    ),
    TextPattern(
        "overflow",
        # Comes as 429, but waiting never helps: one request alone is above the limit per minute.
        r"request too large for (gpt|model|o\d)",
        "Request too large for gpt-4.1 in organization org-1 on tokens per min (TPM): Limit 30000, "
        "Requested 41220. "
        "The input or output tokens must be reduced in order to run successfully.",
        "OpenAI, Groq",
    ),
    TextPattern(
        "overflow",
        r"reduce the length of the (messages|prompt|input)",
        "Please reduce the length of the messages or completion.",
        "Groq",
    ),
    TextPattern(
        "overflow",
        r"maximum prompt length is \d+",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "xAI",
    ),
    TextPattern(
        "overflow",
        r"token count .*exceeds the (maximum|limit)",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "Gemini",
    ),
    TextPattern(
        "overflow",
        r"input is too long for requested model",
        "The model returned the following errors: Input is too long for requested model.",
        "Bedrock",
    ),
    TextPattern(
        "overflow",
        r"number of input tokens exceeds",
        "The model returned the following errors: Input Tokens Exceeded: Number of input tokens "
        "exceeds maximum "
        "length. Please update the input to try again.",
        "Bedrock",
    ),
    TextPattern(
        "overflow",
        # Not Bedrock's "Too many tokens, please wait before trying again.", which is a rate limit.
        r"too many tokens: size limit exceeded",
        "too many tokens: size limit exceeded by 25836 tokens. Try using shorter or fewer inputs. "
        "The limit for this "
        "model is 288000 tokens.",
        "Cohere",
    ),
    TextPattern(
        "overflow",
        r"too large for model with \d+ maximum context",
        "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum "
        "context length",
        "Mistral",
    ),
    TextPattern(
        "overflow",
        r"length of all messages is too long",
        "The total length of all messages is too long.",
        "Perplexity",
    ),
    TextPattern(
        "overflow",
        r"longer than the (model's context|maximum model) length",
        "The input (131080 tokens) is longer than the model's context length (131072 tokens).",
        "Together, vLLM",
    ),
    TextPattern(
        "overflow",
        r"exceeds the available context size",
        "the request exceeds the available context size, try increasing it",
        "llama.cpp",
    ),
    TextPattern(
        "overflow",
        r"exceeded max context length",
        "prompt too long; exceeded max context length by 812 tokens",
        "Ollama",
    ),
    TextPattern(
        "overflow",
        r"longer than the context length currently available",
        "the prompt is longer than the context length currently available to the model; shorten the prompt, "
        "adjust the context length in settings, or use a model with a longer context length",
        "Ollama, when told not to truncate",
    ),
    TextPattern(
        "overflow",
        r"greater than the context length",
        "The number of tokens to keep from the initial prompt is greater than the context length",
        "LM Studio",
    ),
    TextPattern(
        "overflow",
        r"context window exceeds limit",
        "invalid params, context window exceeds limit (2013)",
        "MiniMax",
    ),
    TextPattern(
        "overflow",
        r"exceeded model token limit",
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)",
        "Moonshot",
    ),
    TextPattern("overflow", r"prompt exceeds max length", "Prompt exceeds max length", "z.ai"),
    # The account is empty.
    TextPattern(
        "billing",
        r"credit balance is too low",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing "
        "to upgrade or "
        "purchase credits.",
        "Anthropic, as a 400 invalid_request_error",
    ),
    TextPattern("billing", r"insufficient (balance|credits|funds)", "Insufficient Balance", "DeepSeek"),
    TextPattern(
        "billing",
        r"(used all available|exhausted your) .*credits",
        "Your team has either used all available credits or reached its monthly spending limit.",
        "xAI, as a 403",
    ),
    TextPattern(
        "billing",
        r"reached (your|its|the) (specified )?(API usage limits|monthly spend(ing)? limit)",
        "You have reached your specified API usage limits. You will regain access on 2026-01-01 at "
        "00:00 UTC.",
        "Anthropic, as a 400 invalid_request_error",
    ),
    # The key is wrong, said with a status that does not say so.
    TextPattern(
        "auth",
        r"incorrect API key provided",
        "Incorrect API key provided. You can obtain an API key from https://console.x.ai.",
        "xAI, as a 400 invalid-argument",
    ),
    TextPattern(
        "auth",
        r"API key (is )?(not valid|invalid|not found|expired)",
        "API key not valid. Please pass a valid API key.",
        "Gemini, as a 400 INVALID_ARGUMENT",
    ),
    # No capacity.
    TextPattern(
        "overloaded",
        r"\boverloaded\b",
        "The engine is currently overloaded, please try again later",
        "OpenAI, as a 503 server_error",
    ),
    TextPattern(
        "overloaded",
        r"^server busy, please try again",
        "server busy, please try again.  maximum pending requests exceeded",
        "Ollama, as a 503",
    ),
    TextPattern(
        "overloaded",
        r"unable to process your request\.$",
        "Bedrock is unable to process your request.",
        "Bedrock, ServiceUnavailableException",
    ),
)
