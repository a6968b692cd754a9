"""Loading of models and tokenizers from folders and hubs."""

from __future__ import annotations

from pathlib import Path

from data_juicer_sandbox.components.lm import torch_env
from data_juicer_sandbox.components.lm.model_check import check_vocabulary, check_weights
from data_juicer_sandbox.errors import JobError, SandboxError
from data_juicer_sandbox.files import is_special
from data_juicer_sandbox.types import LibraryObject


def load_tokenizer(path: str) -> LibraryObject:
    """Load the tokenizer of a model folder, of a `tokenizer.json`, or of a model on the hub.

    Raises:
        JobError: it is missing, or has neither a BOS nor an EOS token.
    """
    if path.endswith(".json"):
        library = torch_env.transformers()
        tokenizer = library.PreTrainedTokenizerFast(tokenizer_file=path, eos_token="<|endoftext|>")  # noqa: S106
    else:
        tokenizer = load_plain_tokenizer(torch_env.transformers(), path)
    if tokenizer.eos_token_id is None and tokenizer.bos_token_id is None:
        raise JobError(
            f"the tokenizer at {path} has neither a BOS nor an EOS token", hint="set eos_token in its config"
        )
    return tokenizer


def load_plain_tokenizer(library: LibraryObject, path: str, **options: object) -> LibraryObject:
    """Load a tokenizer, which may have no BOS and EOS token.

    Args:
        library: provides `AutoTokenizer`: transformers or modelscope.
        path: a folder, or an id on the hub.
        options: arguments of `from_pretrained`.

    Raises:
        JobError: it is missing.
    """
    tokenizer = load(library.AutoTokenizer, path, **options)
    check_vocabulary(tokenizer, path)
    return tokenizer


def load_config(path: str) -> LibraryObject:
    """Load the configuration of a model from a folder or the hub.

    Raises:
        JobError: it cannot be loaded.
    """
    return load(torch_env.transformers().AutoConfig, path)


def load_causal_lm(path: str, dtype: str) -> LibraryObject:
    """Load a causal language model from a folder or the hub, in eval mode on `device()`.

    Raises:
        JobError: it cannot be loaded, or has weights that are not finite.
    """
    return load_model(torch_env.transformers().AutoModelForCausalLM, path, dtype)


def load_model(auto_class: LibraryObject, path: str, dtype: str) -> LibraryObject:
    """Load a model from a folder or the hub, in eval mode on `device()`.

    Raises:
        JobError: it cannot be loaded, or has weights that are not finite.
    """
    model = load(auto_class, path, dtype=getattr(torch_env.torch(), dtype)).to(torch_env.device()).eval()
    check_weights(model, path)
    return model


def load(auto_class: LibraryObject, path: str, **options: object) -> LibraryObject:
    """Call `from_pretrained` of a class for a folder or an id on the hub.

    Raises:
        JobError: it cannot be loaded.
    """
    local = Path(path).is_dir()
    if local and (special := next(filter(is_special, sorted(Path(path).iterdir())), None)):
        raise JobError(f"{special} is a pipe or device, but a model consists of files")
    try:
        return auto_class.from_pretrained(
            path, local_files_only=local, **options
        )  # no network access for a local folder
    except (OSError, ValueError) as error:
        what = "cannot be loaded" if local else "is neither a folder nor an available model on the hub"
        raise JobError(f"{path!r} {what}: {str(error).strip().splitlines()[0]}") from error
    except SandboxError:
        raise
    except Exception as error:  # a damaged folder may raise anything
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise JobError(f"{path!r} cannot be loaded: {type(error).__name__}: {reason}") from error
