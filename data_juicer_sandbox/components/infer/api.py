"""Language models behind an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from data_juicer_sandbox.components.base import InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.infer.base import Answering, LLMInference, Put, Request, as_messages, as_text
from data_juicer_sandbox.components.io.append_fields import to_json
from data_juicer_sandbox.errors import ConfigError
from data_juicer_sandbox.imports import load

if TYPE_CHECKING:
    from data_juicer_sandbox.components.infer.remote.server import RequestTemplate

_EXTRAS = ("extra_headers", "extra_query", "extra_body")


class APIInference(LLMInference):
    """Let a language model behind an OpenAI-compatible server answer a data set.

    Such are OpenAI's own, those of most providers, vLLM's, llama.cpp's, `transformers serve`, ...

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: every row as it was, byte for byte, in
    its order, with the answer at `infer_res_key` (a list where `sampling_params.n` is above 1). A row that failed has
    null there, and `infer_error` with a `kind` (`row`, `timeout`, `connection`, `http_<status>`, `bad_reply`, `parse`)
    and a `message`; it is counted, and the others go on.

    Requests go through the `openai` client, `max_concurrency` at a time over connections that are kept; answers are put
    on disk as they come. So an interrupted job is continued and no row asked twice that was answered, unless the data,
    `model`, `sampling_params`, functions or fields have changed. Rows that failed are asked again after a job that
    failed; after one that was interrupted only with `retry_failed`.

    A request is sent again, `max_retry_num` times at most, after 408, 429, 5xx, a time-out or a broken connection:
    after a random time of up to `retry_wait`, twice that, four times, ... (60 s at most), and no sooner than the
    server's `Retry-After`, which holds for all requests. On 429 and 503 fewer are sent at once. Any other refusal marks
    its row; a 401 or 404 before any answer, or ten in a row, end the job at once, as does a failure of the first 100
    rows.

    The key is read from the environment. Redirects are not followed.

    Watches `rows`, `failed`, `kept` (taken over from earlier runs), `prompt_tokens`, `completion_tokens`, `cost`,
    `seconds`, `rows_per_second`, `tokens_per_second` (written ones), `requests`, `retries`; rows, tokens and cost of
    the whole file, earlier runs included.

    Args:
        model: the model's name on the server.
        dataset_path: the data set(s), in any format. Several give several files.
        export_path: folder of the new files, named after the data sets (those that share a name get that of their
            folder in front); or, where there is but one, a `.jsonl` file.
        api_endpoint: the server's address, such as `http://localhost:8000/v1` (`model_params.base_url` is the same);
            `OPENAI_BASE_URL` of the environment, or else OpenAI's own, by default.
        model_params: arguments of the `openai` client: `timeout` (seconds a request may take, 600), `default_headers`,
            `default_query`, `organization`, `project`, ...
        sampling_params: what else stands in the request: `temperature`, `max_tokens`, `n`, `seed`, `stop`, ...; what
            a server has beyond OpenAI's in `extra_body`, also `extra_headers` and `extra_query`.
        endpoint: `chat` sends messages to `/chat/completions`, `completions` a text to `/completions`.
        response_path: where the answer stands in the reply, parted by dots; `choices.0.message.content` by default, of
            `completions` `choices.0.text`. Of several samples the first one's.
        infer_res_key: the new field with the answer.
        raw_key: another one for what the model wrote, before `parse_output_func`.
        build_messages_func: makes messages (or a text) of a row: `build_messages`, `build_messages_for_math_qa`, or a
            dotted path.
        parse_output_func: reads what the model wrote: `parse_output`, or a dotted path.
        func_kwargs: their arguments. Each goes to the function that has one of its name; those under the key
            `build_messages_func` or `parse_output_func` to that one.
        max_concurrency: requests at once.
        requests_per_minute: no more than that, evenly.
        tokens_per_minute: no more tokens than that, read and written ones.
        max_retry_num: how often a request is sent again.
        retry_wait: seconds at most before that is done for the first time; twice as many each time after.
        api_key_env: the environment variable with the key. A server of your own needs none.
        api_key: the key itself; better not in a file. It is masked wherever it would be shown or stored.
        price_per_million: what a million tokens cost, `input` and `output`.
        max_rows: rows taken from the start of each data set; all by default.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        max_failures: more failed rows in a data set fail the job: a share of them if below 1, otherwise their number.
            By default all of them must fail.
        retry_failed: ask failed rows of an interrupted file again.
    """

    def __init__(
        self,
        model: str,
        dataset_path: InputPaths,
        export_path: OutputPath,
        api_endpoint: str | None = None,
        model_params: dict[str, Any] | None = None,
        sampling_params: dict[str, Any] | None = None,
        endpoint: Literal["chat", "completions"] = "chat",
        response_path: str | None = None,
        infer_res_key: str = "response",
        raw_key: str | None = None,
        build_messages_func: str = "build_messages",
        parse_output_func: str = "parse_output",
        func_kwargs: dict[str, Any] | None = None,
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
        max_failures: float | None = None,
        retry_failed: bool = False,
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
            max_failures=max_failures,
            retry_failed=retry_failed,
            price_per_million=price_per_million,
        )
        self.url, self.key_env = _address(api_endpoint, self.model_params), api_key_env
        self.key = self.model_params.pop("api_key", None) or api_key
        if "max_retries" in self.model_params:
            raise ConfigError("model_params.max_retries would retry within retries", hint="max_retry_num is the number")
        self.endpoint, self.response_path = endpoint, response_path
        self.max_concurrency, self.max_retry_num, self.retry_wait = max_concurrency, max_retry_num, retry_wait
        self.requests_per_minute, self.tokens_per_minute = requests_per_minute, tokens_per_minute
        sampling = {key: value for key, value in self.sampling_params.items() if key not in _EXTRAS}
        self._settings = {**sampling, **(self.sampling_params.get("extra_body") or {})}
        if self.sampling_params.get("stream"):
            raise ConfigError("sampling_params.stream: answers are not streamed", hint="leave it out")
        if self.samples > 1 and response_path and "0" not in response_path.split("."):
            raise ConfigError(f"response_path {response_path!r} has no 0 that could count up to {self.samples} samples")

    def identity(self) -> dict[str, Any]:
        """All that decides what the answers are. Not the address: a model is the same on another port."""
        sampling = {key: value for key, value in self.sampling_params.items() if key not in _EXTRAS[:2]}
        return {
            "model": self.model,
            "sampling_params": sampling,
            "endpoint": self.endpoint,
            "response_path": self.response_path,
        }

    @contextmanager
    def answering(self, job: JobRun) -> Iterator[Answering]:
        """Find the key; what it gives asks the server."""
        load("openai", extra="api")
        load("httpx2", extra="api")
        from data_juicer_sandbox.components.infer.remote.server import access, form

        path = "/chat/completions" if self.endpoint == "chat" else "/completions"
        extras = {"headers": "extra_headers", "params": "extra_query"}
        options = {name: self.sampling_params[key] for name, key in extras.items() if self.sampling_params.get(key)}
        found = access(self.url, self.key, self.key_env, self.model_params)
        made = asyncio.run(form(found, path, options))
        yield lambda questions, put: asyncio.run(self._ask(found.url, made, questions, put))

    async def _ask(self, url: str, made: RequestTemplate, questions: Iterator[Request], put: Put) -> None:
        from data_juicer_sandbox.components.infer.remote.client import RequestScheduler
        from data_juicer_sandbox.components.infer.remote.rate_limit import AdaptiveConcurrency
        from data_juicer_sandbox.components.infer.remote.reply import PATHS, ReplyParser
        from data_juicer_sandbox.components.infer.remote.retry import Backoff, Refusals
        from data_juicer_sandbox.components.infer.remote.server import Server

        longest = self.sampling_params.get("max_tokens") or self.sampling_params.get("max_completion_tokens") or 0
        async with Server(made, self.max_concurrency) as server:
            window = RequestScheduler(
                server,
                self._body,
                ReplyParser(self.response_path or PATHS[self.endpoint], self.samples),
                AdaptiveConcurrency(self.max_concurrency, self.requests_per_minute, self.tokens_per_minute),
                Backoff(self.max_retry_num, self.retry_wait),
                Refusals(url, self.key_env),
                self.counted,
                float(longest) * self.samples,
            )
            await window.run(questions, put, self.max_concurrency)

    def _body(self, question: Request) -> bytes:
        prompt = question.prompt
        asked = {"messages": as_messages(prompt)} if self.endpoint == "chat" else {"prompt": as_text(prompt)}
        return to_json({"model": self.model, **asked, **self._settings})


def _address(endpoint: str | None, params: dict[str, Any]) -> str | None:
    """The server's address, taken out of the parameters where it stands there.

    Raises:
        ConfigError: there are two, or it is none.
    """
    base_url = params.pop("base_url", None)
    if endpoint and base_url and endpoint.rstrip("/") != str(base_url).rstrip("/"):
        raise ConfigError(f"api_endpoint {endpoint} and model_params.base_url {base_url} differ", hint="one is enough")
    url = endpoint or base_url
    if url is not None and not str(url).startswith(("http://", "https://")):
        raise ConfigError(f"api_endpoint {url!r} is no address", hint="such as http://localhost:8000/v1")
    return url
