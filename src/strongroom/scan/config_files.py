"""Configurations that are known by their file's name, and what each of them may say."""

import re
from collections.abc import Callable
from typing import Any

from strongroom.errors import shorten
from strongroom.scan import config_rules as rules
from strongroom.scan.place import Place
from strongroom.scan.scan import Scan

_DIFFUSERS = frozenset(
    {"diffusers", "transformers", "onnxruntime", "k_diffusion", "sentence_transformers", "optimum"}
)
"""Libraries that an entry of model_index.json may name."""
_PIPELINES = frozenset(
    {
        *("ace_step", "allegro", "alt_diffusion", "amused", "animatediff", "audio_diffusion", "audioldm"),
        *("audioldm2", "aura_flow", "blip_diffusion", "bria", "chroma", "cogvideo", "cogview3", "cogview4"),
        *(
            "consisid",
            "consistency_models",
            "controlnet",
            "controlnet_hunyuandit",
            "controlnet_sd3",
            "cosmos",
        ),
        *(
            "ddim",
            "ddpm",
            "deepfloyd_if",
            "deprecated",
            "dit",
            "flux",
            "flux2",
            "hidream_image",
            "hunyuan_video",
        ),
        *("hunyuandit", "i2vgen_xl", "kandinsky", "kandinsky2_2", "kandinsky3", "kolors"),
        *("latent_consistency_models", "latent_diffusion", "latte", "ledits_pp", "ltx", "lumina", "lumina2"),
        *(
            "marigold",
            "mochi",
            "musicldm",
            "omnigen",
            "pag",
            "paint_by_example",
            "pia",
            "pixart_alpha",
            "sana",
        ),
        *("semantic_stable_diffusion", "shap_e", "skyreels_v2", "spectrogram_diffusion", "stable_audio"),
        *("stable_cascade", "stable_diffusion", "stable_diffusion_3", "stable_diffusion_attend_and_excite"),
        *("stable_diffusion_diffedit", "stable_diffusion_gligen", "stable_diffusion_k_diffusion"),
        *(
            "stable_diffusion_ldm3d",
            "stable_diffusion_panorama",
            "stable_diffusion_safe",
            "stable_diffusion_sag",
        ),
        *(
            "stable_diffusion_xl",
            "stable_video_diffusion",
            "t2i_adapter",
            "text_to_video_synthesis",
            "unclip",
        ),
        *(
            "unidiffuser",
            "versatile_diffusion",
            "visualcloze",
            "vq_diffusion",
            "wan",
            "wuerstchen",
            "qwenimage",
        ),
    }
)
"""Folders of diffusers itself; any other name is imported from wherever it is found."""
_MLFLOW = frozenset(
    f"mlflow.{name}"
    for name in (
        *(
            "catboost",
            "diviner",
            "fastai",
            "h2o",
            "keras",
            "keras_core",
            "lightgbm",
            "mleap",
            "onnx",
            "paddle",
        ),
        *("pmdarima", "prophet", "pytorch", "pyspark.ml", "sklearn", "spacy", "spark", "statsmodels"),
        *("tensorflow", "transformers", "sentence_transformers", "xgboost", "gluon", "shap", "johnsnowlabs"),
        *("langchain", "openai", "llama_index", "dspy", "promptflow", "anthropic"),
        *("pyfunc.model", "pyfunc.loaders.chat_model", "pyfunc.loaders.chat_agent"),
        *("pyfunc.loaders.responses_agent", "pyfunc.loaders.code_model", "pyfunc.spark_model_cache"),
    )
)
_MODULE = re.compile(r"sentence_transformers(?:\.[a-z_]\w*)+\.[A-Z]\w*", re.ASCII)
_SPACY = re.compile(r"(?:spacy[\w-]*\.(?:[\w-]+\.){0,3})?[A-Za-z][\w-]*\.v\d+", re.ASCII)
_HOOKS = frozenset(
    {"preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare"}
)
_CONTAINER = (
    "initializeCommand",
    "onCreateCommand",
    "postCreateCommand",
    "postStartCommand",
    "postAttachCommand",
)


def scan_by_name(scan: Scan, name: str, value: Any, place: Place) -> None:
    """Apply what is known of configurations of this name."""
    check = _BY_NAME.get(name.lower())
    if check is not None and value:
        check(scan, value, place)
    if name.lower().endswith(".index.json") and isinstance(value, dict):
        _shards(scan, value, place)


def _pipeline(scan: Scan, value: Any, place: Place) -> None:
    """model_index.json of diffusers: parts as [library, class]."""
    for key, part in value.items() if isinstance(value, dict) else ():
        if key == "_class_name" and not (isinstance(part, str) and part.isidentifier()):
            scan.add(rules.NAMES_CODE, place.named(key), f"the pipeline is {shorten(part)}")
        if key.startswith("_") or not isinstance(part, list) or len(part) != 2:
            continue
        library, made = part
        if library is None and made is None:
            continue
        if not isinstance(library, str) or not _is_of_diffusers(library) or not str(made).isidentifier():
            scan.add(rules.NAMES_CODE, place.named(key), f"is made by {shorten(made)} of {shorten(library)}")


def _is_of_diffusers(library: str) -> bool:
    return library in _DIFFUSERS or library in _PIPELINES


def _modules(scan: Scan, value: Any, place: Place) -> None:
    """modules.json of sentence-transformers."""
    for part in value if isinstance(value, list) else ():
        made = part.get("type") if isinstance(part, dict) else None
        if not isinstance(made, str) or _MODULE.fullmatch(made) is None:
            scan.add(rules.NAMES_CODE, place, f"a module is made by {shorten(made)}")
        path = part.get("path") if isinstance(part, dict) else None
        if isinstance(path, str):
            _inside(scan, path, place, "path")


def _mlmodel(scan: Scan, value: Any, place: Place) -> None:
    """MLmodel of MLflow."""
    flavors = value.get("flavors") if isinstance(value, dict) else None
    parts = [value, *flavors.values()] if isinstance(flavors, dict) else [value]
    for part in parts:
        for key, each in part.items() if isinstance(part, dict) else ():
            if key in ("code", "code_paths", "code_path", "model_code_path") and each:
                scan.add(rules.NAMES_CODE, place.named(key), f"{key} is {shorten(each)}: files that are run")
            elif key == "loader_module" and each not in _MLFLOW:
                scan.add(rules.NAMES_CODE, place.named(key), f"the model is loaded by {shorten(each)}")
            elif key in ("data", "model_path", "pickled_model", "model_data", "python_model") and each:
                _inside(scan, str(each), place, key)


def _inside(scan: Scan, path: str, place: Place, key: str) -> None:
    plain = path.replace("\\", "/")
    if plain.startswith(("/", "~")) or ":" in plain or ".." in plain.split("/"):
        scan.add(rules.ESCAPES_FOLDER, place.named(key), f"{key} is {shorten(path)}")


def _shards(scan: Scan, value: dict[str, Any], place: Place) -> None:
    weights = value.get("weight_map")
    names = set(map(str, weights.values())) if isinstance(weights, dict) else set()
    for name in sorted(names)[:1000]:
        _inside(scan, name, place, "weight_map")


def _torchserve(scan: Scan, value: Any, place: Place) -> None:
    """MANIFEST.json of a TorchServe archive."""
    model = value.get("model") if isinstance(value, dict) else None
    for key in ("handler", "modelFile", "requirementsFile", "serializedFile"):
        named = model.get(key) if isinstance(model, dict) else None
        if isinstance(named, str):
            _inside(scan, named.partition(":")[0], place, key)
            if ".py" in named or (key == "handler" and ":" in named):
                scan.add(rules.NAMES_CODE, place.named(key), f"{key} is {shorten(named)}, which is run")
    if isinstance(model, dict) and model.get("requirementsFile"):
        scan.add(
            rules.INSTALLS, place.named("requirementsFile"), "installs packages when the model is loaded"
        )


def _modelscope(scan: Scan, value: Any, place: Place) -> None:
    """configuration.json of ModelScope."""
    if isinstance(value, dict) and value.get("plugins"):
        scan.add(rules.INSTALLS, place.named("plugins"), f"plugins are {shorten(value['plugins'])}")


def _npm(scan: Scan, value: Any, place: Place) -> None:
    scripts = value.get("scripts") if isinstance(value, dict) else None
    if not isinstance(scripts, dict):
        return
    for key in sorted(_HOOKS & scripts.keys()):
        scan.add(rules.INSTALLS, place.named(f"scripts.{key}"), f"{key} runs {shorten(scripts[key])}")


def _devcontainer(scan: Scan, value: Any, place: Place) -> None:
    for key in _CONTAINER:
        if isinstance(value, dict) and value.get(key):
            scan.add(rules.INSTALLS, place.named(key), f"{key} runs {shorten(value[key])}")


def _tasks(scan: Scan, value: Any, place: Place) -> None:
    said = shorten(list(value)) if isinstance(value, dict) else "something"
    scan.add(rules.INSTALLS, place, f"lists {said} for an editor to run in this folder")


def _spacy(scan: Scan, value: Any, place: Place) -> None:
    """config.cfg of spaCy: functions of its registries by ``@registry = "name"``."""
    sections = value.items() if isinstance(value, dict) else ()
    for section, settings in sections:
        for part in settings if isinstance(settings, list) else [settings]:
            for key, named in part.items() if isinstance(part, dict) else ():
                bare = str(named).strip("\"'")
                if key.startswith("@") and _SPACY.fullmatch(bare) is None:
                    scan.add(
                        rules.UNKNOWN_OBJECT,
                        place.named(f"{section}.{key}"),
                        f"{key} is {shorten(bare)}, which is not spaCy's own",
                    )


_BY_NAME: dict[str, Callable[[Scan, Any, Place], None]] = {
    "model_index.json": _pipeline,
    "modules.json": _modules,
    "mlmodel": _mlmodel,
    "manifest.json": _torchserve,
    "configuration.json": _modelscope,
    "package.json": _npm,
    "devcontainer.json": _devcontainer,
    ".devcontainer.json": _devcontainer,
    "tasks.json": _tasks,
    "launch.json": _tasks,
    "config.cfg": _spacy,
}
