"""Inference with an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from data_juicer_sandbox.components.base import InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.infer.base.component import InferFunction, LLMInference
from data_juicer_sandbox.components.infer.base.types import OnResult, Request, as_messages, as_text
from data_juicer_sandbox.components.infer.remote.address import find_endpoint, header_fault, parse_address
from data_juicer_sandbox.components.io.parse import to_json
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveFloat, PositiveInt
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.imports import libraries, load
from data_juicer_sandbox.secrets import shown
from data_juicer_sandbox.types import ConfigValues

if TYPE_CHECKING:
    from data_juicer_sandbox.components.infer.remote.transport import RequestTemplate

_EXTRAS = ("extra_headers", "extra_query", "extra_body")


class APIInference(LLMInference):
    """Run a language model on an OpenAI-compatible server over a data set.

    Compatible servers are those of OpenAI and most providers, vLLM, llama.cpp, `transformers serve`, ...

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: the rows unchanged, byte for byte, in
    their order, with the answer in the field `infer_res_key` (a list if `sampling_params.n` is above 1). A failed row
    has null there, and `infer_error` with a `kind` (`row`, `timeout`, `connection`, `http_<status>`, `bad_reply`,
    `parse`) and a `message`; the job continues with the other rows. An answer that is not complete (it reached the
    maximum number of tokens, or a filter ended it) has the reason in `infer_incomplete`.

    Up to `max_concurrency` requests are sent at a time, over persistent connections; answers are stored as they arrive.
    An interrupted job is resumed: stored answers are reused, unless the data, `model`, `sampling_params`, functions or
    fields have changed. Failed requests are repeated after a failed job; after an interrupted job only with
    `retry_failed`.

    A request is retried, at most `max_retry_num` times, after status 408, 429 or 5xx, a timeout or a broken connection:
    after a random time of up to `retry_wait`, twice that, four times, ... (at most 60 s), and not before the server's
    `Retry-After`, which applies to all requests. Status 429 and 503 reduce the concurrency. Other error statuses fail
    the row, as does an error in a reply with status 200; an exhausted quota ends the job. A 401 or 404 before any
    answer, ten in a row, or failures of the first 100 requests end the job.

    The API key is read from the environment. Redirects are not followed. Proxies of the environment are used, unless
    the server is this machine. A reply of more than 32 MB fails its row.

    Metrics are `rows`, `failed`, `incomplete`, `kept` (reused from earlier runs), `prompt_tokens`, `completion_tokens`,
    `cost`, `seconds`, `rows_per_second`, `tokens_per_second` (completion tokens), `requests`, `retries`. Rows, tokens
    and cost are those of the whole file, earlier runs included.

    Args:
        model: name of the model on the server.
        api_endpoint: URL of the server, such as `http://localhost:8000/v1` (`model_params.base_url` is the same); by
            default `OPENAI_BASE_URL` of the environment, else OpenAI's server. `http://user:password@host/v1` sends
            basic authentication instead of a key; a query (`?api-version=1`) is sent with every request.
        model_params: arguments of the `openai` client: `timeout` (seconds per request, 600), `default_headers`,
            `default_query`, `organization`, `project`, ...
        sampling_params: more fields of the request: `temperature`, `max_tokens`, `n`, `seed`, `stop`, ...; fields that
            OpenAI does not define in `extra_body`; also `extra_headers` and `extra_query`.
        endpoint: `chat` sends messages to `/chat/completions`, `completions` a text to `/completions`.
        response_path: dotted path of the answer in the reply; by default `choices.0.message.content`, for `completions`
            `choices.0.text`. With several samples, the path of the first.
        max_concurrency: maximum number of concurrent requests.
        requests_per_minute: maximum rate of requests.
        tokens_per_minute: maximum rate of tokens, prompt and completion together.
        max_retry_num: maximum number of retries per request.
        retry_wait: maximum seconds before the first retry; doubled for each further retry.
        api_key_env: environment variable that holds the API key. A local server may need none.
        api_key: the API key; prefer the environment variable. It is masked wherever it would be shown or stored.
        price_per_million: price of a million tokens, `input` and `output`.
    """

    is_divisible = False  # the data sets share the rate limit
    requires = libraries("api", "openai", "httpx2")

    def __init__(
        self,
        model: str,
        dataset_path: InputPaths,
        export_path: OutputPath,
        api_endpoint: str | None = None,
        model_params: ConfigValues | None = None,
        sampling_params: ConfigValues | None = None,
        endpoint: Literal["chat", "completions"] = "chat",
        response_path: str | None = None,
        infer_res_key: str = "response",
        raw_key: str | None = None,
        build_messages_func: str = "build_messages",
        parse_output_func: str = "parse_output",
        func_kwargs: ConfigValues | None = None,
        max_concurrency: PositiveInt = 64,
        requests_per_minute: PositiveFloat | None = None,
        tokens_per_minute: PositiveFloat | None = None,
        max_retry_num: NonNegativeInt = 5,
        retry_wait: PositiveFloat = 1.0,
        api_key_env: str = "OPENAI_API_KEY",
        api_key: str | None = None,
        price_per_million: dict[str, float] | None = None,
        max_rows: PositiveInt | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
        max_failures: float | None = None,
        retry_failed: bool = False,
        fail_incomplete: bool = False,
    ):
        super().__init__(
            model=model,
            dataset_path=dataset_path,
            export_path=export_path,
            model_params=model_params,
            sampling_params=sampling_params,
            infer_res_key=infer_res_key,
            raw_key=raw_key,
            build_messages_func=build_messages_func,
            parse_output_func=parse_output_func,
            func_kwargs=func_kwargs,
            max_rows=max_rows,
            skip_missing=skip_missing,
            skip_bad_rows=skip_bad_rows,
            max_failures=max_failures,
            retry_failed=retry_failed,
            fail_incomplete=fail_incomplete,
            price_per_million=price_per_million,
        )
        self.url, self.key_env = _server_address(api_endpoint, self.model_params), api_key_env
        self.key = self.model_params.pop("api_key", None) or api_key
        if self.key is not None and (fault := header_fault(str(self.key))):
            raise ConfigError(f"api_key cannot be sent: {fault}")
        if self.key is not None and self.url is not None and parse_address(self.url).credentials:
            raise ConfigError("api_key and the user name in the address cannot both be sent", hint="one is enough")
        if "max_retries" in self.model_params:
            raise ConfigError("model_params.max_retries is not supported", hint="set max_retry_num instead")
        self.endpoint, self.response_path = endpoint, response_path
        self.max_concurrency, self.max_retry_num, self.retry_wait = max_concurrency, max_retry_num, retry_wait
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        sampling = {key: value for key, value in self.sampling_params.items() if key not in _EXTRAS}
        self._settings = {**sampling, **(self.sampling_params.get("extra_body") or {})}
        if self.sampling_params.get("stream"):
            raise ConfigError("sampling_params.stream: streaming is not supported", hint="remove it")
        if self.samples > 1 and response_path and "0" not in response_path.split("."):
            raise ConfigError(f"response_path {response_path!r} needs a 0 as the index of the {self.samples} samples")

    def identity(self) -> ConfigValues:
        """The settings that determine the answers. The URL is not one: a model is the same on another port."""
        sampling = {key: value for key, value in self.sampling_params.items() if key not in _EXTRAS[:2]}
        return {
            "model": self.model,
            "sampling_params": sampling,
            "endpoint": self.endpoint,
            "response_path": self.response_path,
        }

    @contextmanager
    def inference_function(self, job: JobRun) -> Iterator[InferFunction]:
        """Find the API key; yields a function that sends requests to the server."""
        load("openai", extra="api")
        load("httpx2", extra="api")
        from data_juicer_sandbox.components.infer.remote.transport import build_request_template

        path = "/chat/completions" if self.endpoint == "chat" else "/completions"
        extras = {"headers": "extra_headers", "params": "extra_query"}
        options = {name: self.sampling_params[key] for name, key in extras.items() if self.sampling_params.get(key)}
        endpoint = find_endpoint(self.url, self.key, self.key_env, self.model_params)
        template = asyncio.run(build_request_template(endpoint, path, options))
        yield lambda requests, on_result: asyncio.run(self._send(endpoint.url, template, requests, on_result))

    async def _send(
        self, url: str, template: RequestTemplate, requests: Iterator[Request], on_result: OnResult
    ) -> None:
        from data_juicer_sandbox.components.infer.remote.client import AdaptiveConcurrency, Backoff, RequestScheduler
        from data_juicer_sandbox.components.infer.remote.reply import PATHS, Refusals, ReplyParser
        from data_juicer_sandbox.components.infer.remote.transport import Server

        max_tokens = self.sampling_params.get("max_tokens") or self.sampling_params.get("max_completion_tokens") or 0
        async with Server(template, self.max_concurrency) as server:
            scheduler = RequestScheduler(
                server,
                self._body,
                ReplyParser(self.response_path or PATHS[self.endpoint], self.samples),
                AdaptiveConcurrency(self.max_concurrency, self.requests_per_minute, self.tokens_per_minute),
                Backoff(self.max_retry_num, self.retry_wait),
                Refusals(url, self.key_env),
                self.counted,
                float(max_tokens) * self.samples,
            )
            await scheduler.run(requests, on_result, self.max_concurrency)

    def _body(self, request: Request) -> bytes:
        prompt = request.prompt
        prompt_field = {"messages": as_messages(prompt)} if self.endpoint == "chat" else {"prompt": as_text(prompt)}
        return to_json({"model": self.model, **prompt_field, **self._settings})


def _server_address(endpoint: str | None, params: ConfigValues) -> str | None:
    """The server's URL, from `endpoint` or removed from the parameters.

    Raises:
        ConfigError: two different URLs are given, or the URL is invalid.
    """
    base_url = params.pop("base_url", None)
    if endpoint and base_url and endpoint.rstrip("/") != str(base_url).rstrip("/"):
        raise ConfigError(
            f"api_endpoint {shown(endpoint)} and model_params.base_url {shown(base_url)} differ", hint="one is enough"
        )
    url = endpoint or base_url
    if url is not None:
        try:
            parse_address(str(url))
        except ValueError as error:
            raise ConfigError(
                f"api_endpoint {shown(url, 200)} {error}", hint="such as http://localhost:8000/v1"
            ) from None
    return url
