"""Puts PEFT adapters on their bases, and finds before work why one can't be put there.

PEFT only warns where tensors of an adapter's file find no module, and goes on with the base alone. Here that is an
error, and so are tensors that the adapter's config asks for and its file lacks.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UnfitModel
from raysweep.machine import is_out_of_memory
from raysweep.models.files.adapters import NAME as NAME_OF_CONFIG
from raysweep.models.files.adapters import no_mapping, unknown_type, unread
from raysweep.models.files.tensors import emptied, shapes_of
from raysweep.models.hub import model_config
from raysweep.records import ModelRef
from raysweep.rows.hub import cache_alone

if TYPE_CHECKING:
    import torch

SAFETENSORS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"
"""The files of an adapter's tensors; PEFT takes the first one that is there."""
NAME = "default"
"""What PEFT calls an adapter that is the only one of its model."""
ENOUGH = 20
"""How many names without a module are looked at to find out how their beginnings differ from the base's."""
LOST = {"pissa_niter_": "random numbers", "corda": "data", "lora_ga": "gradients of data"}
"""What changed the base of adapters when these were made, by the beginning of their `init_lora_weights`, where files
don't have it."""
SHARED = ("vblora_vector_bank", ".tinylora_v.", ".unilora_theta_d.", ".trainable_tokens_delta")
"""Parts of the names of tensors that lie in several modules, of which files have one copy."""


def adapter_config(ref: ModelRef) -> dict[str, Any]:
    return dict(_config_of(ref).to_dict())


def telling_tokens(ref: ModelRef) -> list[int]:
    """Return the ids of tokens that an adapter needs in a text to change it; empty if any text will do.

    These are the ones that switch an activated LoRA on, or those whose embeddings alone were trained.
    """
    config = adapter_config(ref)
    tokens = config.get("trainable_token_indices") or config.get("token_indices") or []
    trained = tokens.values() if isinstance(tokens, dict) else [tokens]
    return [int(token) for some in (config.get("alora_invocation_tokens") or [], *trained) for token in some]


def wrapped(model: Any, config: Any) -> Any:
    """Put a new adapter on a model in place; raise ValueError if it lacks the modules that the config names."""
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
        return get_peft_model(model, config)


def untie_if_changed(adapted: Any) -> None:
    """Untie the embeddings of PEFT's model if its adapter changes either end of them.

    Whether it does is seen from where PEFT has put it, whatever chose the modules: a list, a pattern, `all-linear`,
    `modules_to_save`, `target_parameters` or `trainable_token_indices`.
    """
    if any(_is_wrapper(end) for end in _ends(adapted)):
        untie_embeddings(adapted.get_base_model())


def put_adapter_on(model: Any, ref: ModelRef) -> Any:
    """Put an adapter on a base in place, whose tensors stay; raise UnfitModel if the adapter's tensors don't fit."""
    config = _config_of(ref)
    config.base_model_name_or_path, config.inference_mode = None, True
    own = {id(parameter) for parameter in model.parameters()}
    if why := _lost_beginning(config):
        raise UnfitModel(_not_of(ref, why))
    patterns = _renamed(model, config)
    try:
        with _opened(ref) as (shapes, _):
            names = _renamed_all(shapes, patterns)
        with _own_tensors(model, config):
            adapted = wrapped(model, config)
        _unshare(adapted, own, set(names.values()))
        found = adapted.load_adapter(
            ref.location, NAME, key_mapping=patterns, revision=ref.revision, **cache_alone(ref.location)
        )
        why = "" if config.is_prompt_learning else _unfound(adapted, found, len(names))
    except (RuntimeError, ValueError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
        why = next((line for line in lines if "size mismatch" in line), lines[0])  # PEFT's first line says nothing
        raise UnfitModel(_not_of(ref, why)) from error
    if why:
        raise UnfitModel(_not_of(ref, why))
    untie_if_changed(adapted)
    return adapted


def misfit(network: Any, ref: ModelRef) -> str:
    """Return why an adapter can't be put on its base, or would change nothing there; empty if it can.

    `network`: the base without data (torch's device meta); its modules are changed in place.

    Raises:
        ValueError: the base lacks the modules that the adapter's config names.
    """
    import torch
    from peft import get_peft_model_state_dict
    from peft.utils.save_and_load import set_peft_model_state_dict

    config = _config_of(ref)
    config.base_model_name_or_path = None
    if why := _lost_beginning(config):
        return why
    if isinstance(getattr(config, "init_lora_weights", None), str):
        config.init_lora_weights = True  # others compute the first weights from the base's, of which there are none
    rows = network.get_input_embeddings().weight.shape[0]
    with _opened(ref) as (shapes, read):
        names = _renamed_all(shapes, _renamed(network, config))
        with torch.device("meta"):
            adapted = wrapped(network, config)
            wanted = {name: tuple(tensor.shape) for name, tensor in adapted.state_dict().items()}
            saved = get_peft_model_state_dict(adapted, save_embedding_layers=False)
            wanted |= {name: tuple(tensor.shape) for name, tensor in saved.items()}
            for name, shape in shapes.items():
                if wanted.get(names[name], shape) != shape:
                    return _other_shape(name, shape, wanted[names[name]], rows, ref)
            if config.is_prompt_learning:
                return ""
            if lacking := _missing_copies(adapted, set(names.values())):
                return _lacking(lacking)
            found = set_peft_model_state_dict(adapted, {names[name]: torch.empty(shapes[name]) for name in shapes})
        return _unfound(adapted, found, len(shapes)) or _without_effect(shapes, read)


def untie_embeddings(model: Any) -> None:
    """Untie a model's embeddings in place: an update of one end that is merged would change the other one too."""
    import torch

    head, embeddings = (_innermost(end) for end in (model.get_output_embeddings(), model.get_input_embeddings()))
    if head is not None and embeddings is not None and head.weight is embeddings.weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
        if not getattr(model.config, "is_encoder_decoder", False):  # T5 scales its logits where this is true
            model.config.tie_word_embeddings = False


def _config_of(ref: ModelRef) -> Any:
    """Raise UnfitModel if PEFT doesn't read all of the adapter's config."""
    from peft import PeftConfig

    written = model_config(ref, NAME_OF_CONFIG) or {}
    if written and (why := unknown_type(ref.location, written)):
        raise UnfitModel(why)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Unexpected keyword arguments")  # the error names them
        config = PeftConfig.from_pretrained(ref.location, revision=ref.revision, **cache_alone(ref.location))
    if why := unread(ref.location, written, config) or no_mapping(ref.location, config):
        raise UnfitModel(why)
    return config


def _lost_beginning(config: Any) -> str:
    """Say that an adapter began with a change of its base that can't be made again; empty if it didn't.

    The file of such an adapter holds what stands beside the changed base. PEFT makes the change again from the config
    when it loads one: the same change for `pissa`, `olora` and others, another one where it is drawn, and none, or an
    error, where it came from data.
    """
    beginning = str(getattr(config, "init_lora_weights", "")).lower()
    source = next((of for start, of in LOST.items() if beginning.startswith(start)), "")
    if not source:
        return ""
    return (
        f"it began with `init_lora_weights: {beginning}`, which changed the base by {source}, and its files don't have "
        "that change; save it as a usual LoRA, with PEFT's `save_pretrained(..., "
        "path_initial_model_for_weight_conversion=...)`, or merged into its base"
    )


@contextmanager
def _own_tensors(model: Any, config: Any) -> Iterator[None]:
    """Have what is put on a model in the block compute its first weights from copies of the model's matrices.

    Some (OLoRA) change the base's numbers in place. Matrices that got no adapter are the model's own again afterwards.
    """
    if not isinstance(getattr(config, "init_lora_weights", None), str):
        yield
        return
    from peft.tuners.tuners_utils import BaseTunerLayer

    before = [(parameter, parameter.data) for parameter in model.parameters() if parameter.dim() > 1]
    for parameter, tensor in before:
        parameter.data = tensor.clone()
    yield
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    changed = {id(parameter) for layer in layers for parameter in layer.get_base_layer().parameters()}
    for parameter, tensor in before:
        if id(parameter) not in changed:
            parameter.data = tensor


def _ends(adapted: Any) -> list[Any]:
    base = adapted.get_base_model()
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    return [end for end in ends if end is not None]


def _is_wrapper(module: Any) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)


def _innermost(module: Any) -> Any:
    while module is not None and _is_wrapper(module):
        module = module.base_layer if hasattr(module, "base_layer") else module.original_module
    return module


def _unshare(adapted: Any, own: Collection[int], names: Set[str]) -> None:
    """Let the base's tensors that an adapter's file has too lie elsewhere, so that loading it leaves the base's alone.

    Files have the embeddings where they were updated or got more rows. Embeddings that lie in a file twice, once for
    each end, are untied: they may differ.

    `own`: ids of the base's parameters.
    """
    base = adapted.get_base_model()
    at = [f"base_model.model.{name}" for name, module in base.named_modules() if module in _ends(adapted)]
    if len(at) == 2 and all(names & {f"{end}.weight", f"{end}.base_layer.weight"} for end in at):
        untie_embeddings(base)
    for name, parameter in adapted.named_parameters(remove_duplicate=False):
        if name in names and id(parameter) in own:
            parameter.data = parameter.data.clone()


@contextmanager
def _opened(ref: ModelRef) -> Iterator[tuple[dict[str, tuple[int, ...]], Callable[[str], torch.Tensor]]]:
    """Give the shapes of the tensors in an adapter's file, by name, and a function that reads one, on the CPU.

    Raises:
        UnfitModel: the file is damaged, or some have no numbers.
    """
    import torch
    from safetensors import safe_open

    folder = Path(ref.location)
    if folder.is_dir():
        path = next((folder / name for name in (SAFETENSORS, PICKLED) if (folder / name).is_file()), None)
        if path is None:
            raise FileNotFoundError(f"there is no {SAFETENSORS} in {folder}")
    else:
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError

        options = {"revision": ref.revision, **cache_alone(ref.location)}
        try:
            path = Path(huggingface_hub.hf_hub_download(ref.location, SAFETENSORS, **options))
        except EntryNotFoundError:
            path = Path(huggingface_hub.hf_hub_download(ref.location, PICKLED, **options))
    shapes = shapes_of(path)
    if why := emptied(f"the adapter {ref.location}", shapes):
        raise UnfitModel(why)
    if path.name == PICKLED:
        yield shapes, torch.load(path, map_location="cpu", weights_only=True).__getitem__
        return
    with safe_open(path, "pt") as file:
        yield shapes, file.get_tensor


def _renamed(model: Any, config: Any) -> Mapping[str, str]:
    """Return the patterns by which PEFT renames tensors of files that were written for an older form of the model."""
    return {} if config.is_prompt_learning else getattr(model, "_checkpoint_conversion_mapping", None) or {}


def _renamed_all(names: Collection[str], patterns: Mapping[str, str]) -> dict[str, str]:
    renamed = {}
    for name in names:
        prefix = "base_model.model." if name.startswith("base_model.model.") else "base_model."
        rest = name.removeprefix(prefix)
        fits = (re.subn(pattern, new, rest) for pattern, new in patterns.items())
        renamed[name] = next((f"{prefix}{new}" for new, count in fits if count), name)
    return renamed


def _missing_copies(adapted: Any, names: Collection[str]) -> list[str]:
    """Return the tensors of whole modules that a config has trained and a file lacks; PEFT would raise KeyError."""
    from peft.utils.other import AuxiliaryTrainingWrapper

    wrappers = [(at, module) for at, module in adapted.named_modules() if isinstance(module, AuxiliaryTrainingWrapper)]
    wanted = [f"{at}.{part}" for at, module in wrappers for part in module.adapter_state_dict_load_map(NAME)]
    return [name for name in wanted if name not in names]


def _unfound(adapted: Any, found: Any, count: int) -> str:
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING

    # with embeddings, PEFT also saves a second copy of modules that are trained whole, and doesn't load it
    modules = {name for name, _ in adapted.named_modules()}
    copies = re.compile(r"(.*?\.modules_to_save)\.")
    unknown = [
        _in_file(name) for name in found.unexpected_keys if not ((copy := copies.match(name)) and copy[1] in modules)
    ]
    own = PEFT_TYPE_TO_PREFIX_MAPPING.get(adapted.peft_config[NAME].peft_type, "")
    missing = [
        name
        for name in found.missing_keys
        if own in name and f".{NAME}" in name and not any(part in name for part in SHARED)
    ]
    lacking = [_in_file(name) for name in missing]
    if unknown:
        said = f"{len(unknown)} of {count} tensors of the adapter find no module in its base, such as {unknown[0]}"
        if name := _own_name(unknown, missing):
            return f"{said}: {_without_in_words(name)}"
        return f"{said}: {_prefixes(unknown, lacking)}"
    return _lacking(lacking)


def _in_file(name: str) -> str:
    return re.sub(rf"\.{NAME}(?=\.|$)", "", name, count=1)


def _without_in_words(own: str) -> str:
    code = (
        "from safetensors.torch import load_file as L, save_file as S; f = 'adapter_model.safetensors'; "
        f"S({{'.'.join(p for p in n.split('.') if p != {own!r}): t for n, t in L(f).items()}}, f, {{'format': 'pt'}})"
    )
    return (
        f"they have the adapter's own name in theirs, which PEFT's `save_pretrained` leaves out; take {own!r} out of "
        f'them (for safetensors, in its folder: `python -c "{code}"`)'
    )


def _lacking(names: list[str]) -> str:
    if not names:
        return ""
    return (
        f"its file lacks {len(names)} of the tensors that its config asks for, such as {names[0]}: it was not saved "
        "whole; save it again, or give its config the modules that were trained (`target_modules`, "
        "`layers_to_transform`)"
    )


def _prefixes(unknown: list[str], lacking: list[str]) -> str:
    pairs: Counter[tuple[str, str]] = Counter()
    ends = [name.split(".") for name in lacking]
    for name in unknown[:ENOUGH]:
        parts = name.split(".")
        for start in range(len(parts)):
            rest = parts[start:]
            fits = [end for end in ends if end[-len(rest) :] == rest]
            if fits:
                theirs = min(fits, key=len)
                pairs[_beginning(parts), _beginning(theirs)] += 1
                break
    if not pairs:
        return "name the base that it was trained on"
    (own, other), _ = pairs.most_common(1)[0]
    return (
        f"the adapter's names begin with {own!r} and the base's with {other!r}, so it was trained on another wrapper "
        "of the model; rename its tensors, or name the base that it was trained on"
    )


def _own_name(unknown: list[str], missing: list[str]) -> str:
    """Return what stands in an adapter's names where PEFT's have `NAME`; empty if they aren't of that form."""
    for parts in (name.split(".") for name in unknown[:ENOUGH]):
        for at, part in enumerate(parts):
            if ".".join([*parts[:at], NAME, *parts[at + 1 :]]) in missing:
                return part
    return ""


def _beginning(parts: list[str]) -> str:
    at = next((at for at, part in enumerate(parts) if part.isdigit()), len(parts))
    return ".".join(parts[:at]) + "."


def _other_shape(name: str, shape: tuple[int, ...], wanted: tuple[int, ...], rows: int, ref: ModelRef) -> str:
    said = f"{name} is {shape} in the adapter, and {wanted} fits the base"
    unlike = [(own, its) for own, its in zip(shape, wanted, strict=False) if own != its]
    if len(shape) != len(wanted) or [its for _, its in unlike] != [rows]:
        return f"{said}; name its own base"
    base, trained = ref.base.location if ref.base else "BASE", unlike[0][0]
    code = (
        "from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; "
        f"m = M.from_pretrained({base!r}, dtype='auto'); m.resize_token_embeddings({trained}); "
        f"m.save_pretrained('NEW'); T.from_pretrained({ref.location!r}).save_pretrained('NEW')"
    )
    return (
        f"{said}: it was trained with {trained} rows of embeddings, and the base has {rows}; resize the base with "
        f'`python -c "{code}"` and write NEW as `base_model_name_or_path` into its adapter_config.json'
    )


def _without_effect(shapes: Collection[str], read: Callable[[str], torch.Tensor]) -> str:
    halves = {
        name: re.sub(r"lora_(embedding_)?B", r"lora_\1A", name)
        for name in shapes
        if re.search(r"\.lora_(embedding_B|B\.weight)$", name)
    }
    others = [name for name in shapes if name not in halves and name not in halves.values()]
    if halves and all(name.endswith(".base_layer.weight") for name in others):
        if not any(bool(read(name).any()) and bool(read(other).any()) for name, other in halves.items()):
            return f"it changes nothing: all of its {len(halves)} updates are zero, as before training"
    elif shapes and all("ia3_l" in name for name in shapes) and all(bool((read(name) == 1).all()) for name in shapes):
        return f"it changes nothing: all of its {len(shapes)} vectors are 1, as before training"
    return ""


def _not_of(ref: ModelRef, why: str) -> str:
    return f"the adapter {ref.location} is not one of {ref.base.location if ref.base else 'its base'}: {why}"
