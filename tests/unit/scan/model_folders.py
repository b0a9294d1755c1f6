"""Folders as model hubs and tools really lay them out, weights aside. All of them are benign."""

import json
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parents[2] / "vectors" / "texts" / "templates"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _template(name: str) -> str:
    return (TEMPLATES / f"{name}.jinja").read_text()


_ATTRIBUTES = (
    "*.bin filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    "tokenizer.json filter=lfs diff=lfs merge=lfs -text\n*.md text eol=lf\n"
)
_README = """---
license: apache-2.0
library_name: transformers
tags:
- text-generation
---
# A model

```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("org/model", trust_remote_code=True)
os.system("nvidia-smi")
```

```bash
curl -L https://example.com/install.sh | sh
```
"""
_VOCABULARY = {f"{word}{number}": number for number in range(400) for word in ("w",)}
_CODE_TOKENS = {
    "os.system(": 400,
    "<script>": 401,
    "__import__": 402,
    "{{": 403,
    "{%": 404,
    "sk-": 405,
    "AKIA": 406,
}

TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {"id": 0, "content": "<|im_start|>", "single_word": False, "special": True},
        {"id": 1, "content": "<|tool▁calls▁begin|>", "single_word": False, "special": True},
    ],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "NFC"}]},
    "pre_tokenizer": {
        "type": "Split",
        "pattern": {
            "Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+"
        },
        "behavior": "Isolated",
        "invert": False,
    },
    "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}]},
    "decoder": {"type": "ByteLevel", "add_prefix_space": True},
    "model": {"type": "BPE", "vocab": {**_VOCABULARY, **_CODE_TOKENS}, "merges": ["e v", "o s", "ev al"]},
}

LLAMA = {
    "config.json": _json(
        {
            "_name_or_path": "/home/user/checkpoints/run-3",
            "architectures": ["LlamaForCausalLM"],
            "attn_implementation": "flash_attention_2",
            "attention_bias": False,
            "bos_token_id": 128000,
            "eos_token_id": [128001, 128008, 128009],
            "hidden_act": "silu",
            "hidden_size": 4096,
            "model_type": "llama",
            "rope_scaling": {"factor": 8.0, "rope_type": "llama3"},
            "torch_dtype": "bfloat16",
            "auto_map": {},
            "quantization_config": {"quant_method": "gptq", "bits": 4, "desc_act": True},
            "transformers_version": "4.45.0",
            "id2label": {str(number): f"LABEL_{number}" for number in range(1000)},
            "label2id": {f"LABEL_{number}": number for number in range(1000)},
            "vocab_size": 128256,
        }
    ),
    "generation_config.json": _json({"do_sample": True, "temperature": 0.6, "eos_token_id": [1, 2]}),
    "tokenizer_config.json": _json(
        {
            "added_tokens_decoder": {"128000": {"content": "<|begin_of_text|>", "special": True}},
            "bos_token": "<|begin_of_text|>",
            "chat_template": _template("llama-3.1-tools"),
            "clean_up_tokenization_spaces": True,
            "model_max_length": 1000000000000000019884624838656,
            "tokenizer_class": "PreTrainedTokenizerFast",
        }
    ),
    "special_tokens_map.json": _json(
        {"bos_token": {"content": "<s>", "lstrip": False}, "unk_token": "<unk>"}
    ),
    "tokenizer.json": _json(TOKENIZER),
    "model.safetensors.index.json": _json(
        {
            "metadata": {"total_size": 16060522496},
            "weight_map": {"lm_head.weight": "model-00004-of-00004.safetensors"},
        }
    ),
    "README.md": _README,
    "LICENSE": "Apache License\nVersion 2.0\n",
    "USE_POLICY.md": "Do no harm.\n",
    ".gitattributes": _ATTRIBUTES,
    "chat_template.jinja": _template("qwen-3-thinking"),
}
COMMAND_R = {
    "tokenizer_config.json": _json(
        {
            "chat_template": [
                {"name": "default", "template": _template("command-r")},
                {"name": "tool_use", "template": _template("command-r-tool-use")},
            ],
            "tokenizer_class": "CohereTokenizer",
        }
    ),
    "chat_template.json": _json({"chat_template": _template("qwen-vl")}),
    "processor_config.json": _json({"processor_class": "LlavaProcessor", "patch_size": 14}),
    "preprocessor_config.json": _json(
        {"image_processor_type": "CLIPImageProcessor", "image_mean": [0.48, 0.45, 0.4], "do_resize": True}
    ),
}
BERT = {
    "config.json": _json(
        {
            "architectures": ["BertForMaskedLM"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "vocab_size": 30522,
        }
    ),
    "vocab.txt": "[PAD]\n[UNK]\nexec\n##os\nsystem\nhttp\n://\nrm\n-rf\n<script>\n#!/bin/sh\n",
    "merges.txt": "#version: 0.2\nĠ t\nĠ a\nh e\nimport Ġos\n",
    "vocab.json": _json({**_VOCABULARY, **_CODE_TOKENS}),
    "added_tokens.json": _json({"<|endoftext|>": 50256, "{{": 50257}),
    "tokenizer_config.json": _json({"do_lower_case": True, "tokenizer_class": "BertTokenizer"}),
    "flax_notes.txt": "eval loss 0.3; exec time 3s; import os\n",
    "label_encoder.txt": "'cat' => 0\n'dog' => 1\n",
}
SENTENCES = {
    "modules.json": _json(
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        ]
    ),
    "1_Pooling/config.json": _json({"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}),
    "2_Dense/config.json": _json(
        {"in_features": 768, "activation_function": "torch.nn.modules.activation.Tanh", "bias": True}
    ),
    "sentence_bert_config.json": _json({"max_seq_length": 256, "do_lower_case": False}),
    "config_sentence_transformers.json": _json(
        {
            "__version__": {"pytorch": "2.1.0"},
            "prompts": {"query": "Instruct: {query}"},
            "similarity_fn_name": None,
        }
    ),
    "cross/config.json": _json(
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0"}}
    ),
}
DIFFUSION = {
    "model_index.json": _json(
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.22.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"],
            "image_encoder": [None, None],
            "requires_safety_checker": True,
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "scheduler": ["diffusers", "PNDMScheduler"],
            "unet": ["diffusers", "UNet2DConditionModel"],
        }
    ),
    "scheduler/scheduler_config.json": _json({"_class_name": "PNDMScheduler", "beta_end": 0.012}),
    "unet/config.json": _json(
        {
            "_class_name": "UNet2DConditionModel",
            "act_fn": "silu",
            "down_block_types": ["CrossAttnDownBlock2D"],
        }
    ),
    "v1-inference.yaml": """model:
  base_learning_rate: 1.0e-04
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    scheduler_config:
      target: ldm.lr_scheduler.LambdaLinearScheduler
      params:
        warm_up_steps: [ 10000 ]
    first_stage_config:
      target: ldm.models.autoencoder.AutoencoderKL
      params:
        lossconfig:
          target: torch.nn.Identity
    cond_stage_config:
      target: ldm.modules.encoders.modules.FrozenCLIPEmbedder
""",
}
ADAPTER = {
    "adapter_config.json": _json(
        {
            "auto_mapping": {
                "base_model_class": "BertModel",
                "parent_library": "transformers.models.bert.modeling_bert",
            },
            "base_model_name_or_path": "meta-llama/Llama-2-7b-hf",
            "peft_type": "LORA",
            "target_modules": ["q_proj", "v_proj"],
            "modules_to_save": None,
        }
    ),
    "trainer_state.json": _json({"log_history": [{"loss": 0.5, "step": 10}], "best_metric": None}),
    "training.jsonl": '{"prompt": "hi {{name}}", "completion": "import os"}\n{"a": 1}\n',
}
MLFLOW = {
    "MLmodel": """artifact_path: model
flavors:
  python_function:
    env:
      conda: conda.yaml
      virtualenv: python_env.yaml
    loader_module: mlflow.sklearn
    model_path: model.pkl
    predict_fn: predict
    python_version: 3.10.12
  sklearn:
    code: null
    pickled_model: model.pkl
    serialization_format: cloudpickle
    sklearn_version: 1.5.0
mlflow_version: 2.14.1
model_size_bytes: 1234
model_uuid: 0a1b2c3d4e5f60718293a4b5c6d7e8f9
run_id: 0a1b2c3d4e5f60718293a4b5c6d7e8f9
signature:
  inputs: '[{"type": "double", "name": "x", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]'
utc_time_created: '2024-06-01 10:00:00.000000'
""",
    "conda.yaml": "channels:\n- conda-forge\ndependencies:\n- python=3.10.12\n- pip<=23.2.1\n- pip:\n"
    "  - mlflow==2.14.1\n  - scikit-learn==1.5.0\nname: mlflow-env\n",
    "python_env.yaml": "python: 3.10.12\nbuild_dependencies:\n- pip==23.2.1\n"
    "dependencies:\n- -r requirements.txt\n",
    "requirements.txt": "mlflow==2.14.1\ncloudpickle==3.0.0\nscikit-learn==1.5.0\n",
    "registered_model_meta": "model_name: m\nmodel_version: '1'\n",
    "input_example.json": _json({"columns": ["a", "b"], "data": [[1.0, 2.0]]}),
    "serving_input_example.json": _json({"dataframe_split": {"columns": ["a"], "data": [[1.0]]}}),
}
NEMO = {
    "model_config.yaml": """sample_rate: 16000
preprocessor:
  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor
  sample_rate: ${sample_rate}
  window: hann
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  d_model: 512
  n_heads: ${multiply:2,4}
decoder:
  _target_: nemo.collections.asr.modules.ConvASRDecoder
optim:
  name: adamw
  sched:
    name: CosineAnnealing
trainer:
  _target_: pytorch_lightning.Trainer
  devices: -1
  callbacks:
    - _target_: pytorch_lightning.callbacks.ModelCheckpoint
loss:
  _target_: torch.nn.CrossEntropyLoss
  reduction: mean
target: nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE
exp_manager:
  name: ${name}-${now:%Y-%m-%d}
name: conformer
"""
}
SPACY = {
    "config.cfg": """[paths]
train = null
vectors = null

[system]
gpu_allocator = "pytorch"

[nlp]
lang = "en"
pipeline = ["tok2vec","ner"]
tokenizer = {"@tokenizers":"spacy.Tokenizer.v1"}

[components.ner]
factory = "ner"

[components.ner.model]
@architectures = "spacy.TransitionBasedParser.v2"
state_type = "ner"
nO = null

[components.transformer.model]
@architectures = "spacy-transformers.TransformerModel.v3"

[components.ner.scorer]
@scorers = "spacy.ner_scorer.v1"

[training.optimizer]
@optimizers = "Adam.v1"

[training.optimizer.learn_rate]
@schedules = "warmup_linear.v1"

[training.batcher.size]
@schedules = "compounding.v1"
start = 100

[training.logger]
@loggers = "spacy.ConsoleLogger.v1"
progress_bar = false

[corpora.train]
@readers = "spacy.Corpus.v1"
path = ${paths.train}
gold_preproc = ${training.gold}
""",
    "meta.json": _json({"lang": "en", "name": "core", "spacy_version": ">=3.7.2,<3.8.0", "requirements": []}),
    "vocab/lookups_notes.txt": "none\n",
}
OTHERS = {
    "args.yaml": "task: detect\nmodel: yolov8n.yaml\ndata: coco.yaml\nepochs: 100\ndevice: null\n",
    "detectron.yaml": "MODEL:\n  ANCHOR_GENERATOR:\n    SIZES: !!python/tuple [32]\n_BASE_: ./Base.yaml\n",
    "anchors.yaml": "base: &base\n  lr: 0.1\nrun:\n  <<: *base\n  steps: 10\nsecond: *base\n",
    "torchtune.yaml": "model:\n  _component_: torchtune.models.llama3_1.lora_llama3_1_8b\n  lora_rank: 8\n"
    "optimizer:\n  _component_: torch.optim.AdamW\n",
    "lightning.yaml": "trainer:\n  logger:\n    class_path: pytorch_lightning.loggers.TensorBoardLogger\n"
    "model:\n  class_path: torchvision.models.ResNet\n",
    "speechbrain.yaml": "emb_dim: 192\nnorm: !new:speechbrain.processing.features.InputNormalization\n"
    "  norm_type: !ref <kind>\nkind: sentence\n",
    "docker-compose.override.yaml": "services:\n  app:\n    image: x:${TAG:-latest}\n",
    "multi.yaml": "---\na: 1\n---\nb: 2\n",
    "metrics.toml": '[scores]\naccuracy = 0.91\nwhen = 2024-05-27T07:32:00Z\n[[runs]]\nname = "a"\n',
    "yolo.cfg": "[net]\nbatch=64\n[convolutional]\nfilters=32\n[convolutional]\nfilters=64\n# a "
    "note\n[yolo]\n"
    "anchors = 10,13,  16,30\n",
    "darknet.names": "person\nbicycle\n",
    "scores.csv": "id,score\n1,0.5\n2,0.7\n",
    "prompt.txt": "You are a helpful assistant. {{ user_input }}\n",
    "prompt.mustache": "{{#messages}}{{content}}{{/messages}}\n",
    "sb3.json": _json({"policy_class": {":type:": "<class 'abc.ABCMeta'>"}, "n_envs": 4}),
    "training_args.json": _json(
        {"learning_rate": 2e-5, "hub_token": "<HUB_TOKEN>", "report_to": ["tensorboard"]}
    ),
    "labels.txt": "cat\ndog\n",
    "config.pbtxt": 'name: "m"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 8\n',
    "Modelfile": 'FROM ./model.gguf\nTEMPLATE """{{ .System }} {{ .Prompt }}"""\nPARAMETER stop "<|eot|>"\n',
    "arabic.md": "السلام عليكم\n",
    ".gitignore": "*.pyc\n",
}
FOLDERS = {
    "llama": LLAMA,
    "command-r": COMMAND_R,
    "bert": BERT,
    "sentence-transformers": SENTENCES,
    "stable diffusion": DIFFUSION,
    "peft adapter": ADAPTER,
    "mlflow": MLFLOW,
    "nemo": NEMO,
    "spacy": SPACY,
    "others": OTHERS,
}
