"""A server with OpenAI's interface whose answers follow a rule, so that a test can compute them itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rule = Callable[[str, dict[str, Any]], list[str]]
"""Takes the prompt (the last message, or the text) and the request's body, gives as many answers as are asked for."""


class RuleServer:
    """Serves in a thread, `with RuleServer(rule) as server`; `asked` are the prompts that came."""

    def __init__(self, rule: Rule):
        self.rule, self.asked = rule, []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> RuleServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                chat = self.path.endswith("/chat/completions")
                prompt = body["messages"][-1]["content"] if chat else body["prompt"]
                outer.asked.append(prompt)
                texts = outer.rule(prompt, body)
                choices = [
                    {"index": place, "finish_reason": "stop", **(message(text) if chat else {"text": text})}
                    for place, text in enumerate(texts)
                ]
                read, wrote = len(prompt.split()), sum(len(text.split()) for text in texts)
                usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
                kind = "chat.completion" if chat else "text_completion"
                about = {"id": "rule", "object": kind, "created": 0, "model": body["model"]}
                sent = json.dumps({**about, "choices": choices, "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def message(text: str) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}}
