"""Options: checked when they are set, read back as objects, handed over as one flat dictionary of texts."""

import os

PROFILE = os.environ.get("NPU_STAND_IN_PROFILE", "2026")
_NEW = PROFILE == "2026"
ANYTHING = None  # no list of legal values
_BOOL = [True, False]
_PRECISION = ["force_fp32", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision"]
_PRECISION_NEW = [
    *("cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16"),
]

# Group -> option -> (default, legal values); "" is no group.
OPTIONS = {
    "": {
        "precision_mode": (None if _NEW else "allow_fp32_to_fp16", _PRECISION + (_PRECISION_NEW if _NEW else [])),
        "modify_mixlist": (None, ANYTHING),
        "customize_dtypes": (None, ANYTHING),
        "op_precision_mode": (None, ANYTHING),
        "op_select_implmode": (None, ["high_performance", "high_precision"]),
        "optypelist_for_implmode": (None, ANYTHING),
        "fusion_switch_file": (None, ANYTHING),
        "deterministic": (0, [0, 1]),
        "graph_run_mode": (1, [0, 1]),
        "jit_compile": ("auto", ["true", "false", "auto"]) if _NEW else (False, _BOOL),
        "op_debug_level": (None, [0, 1, 2, 3, 4]),
        "enable_exception_dump": (2, [0, 1, 2]) if _NEW else (0, [0, 1]),
        "op_compiler_cache_mode": ("enable" if _NEW else "disable", ["enable", "disable", "force"]),
        "op_compiler_cache_dir": (None, ANYTHING),
        "hcom_parallel": (True, _BOOL),
        "is_tailing_optimization": (False, _BOOL),
        "enable_small_channel": (False, _BOOL),
        "external_weight": (False, _BOOL),
        "overflow_flag": (1, [0, 1]),
    },
    "dump_config": {
        "enable_dump": (False, _BOOL),
        "dump_path": (None, ANYTHING),
        "dump_step": (None, ANYTHING),
        "dump_mode": ("output", ["input", "output", "all"]),
        "enable_dump_debug": (False, _BOOL),
        "dump_debug_mode": ("all", ["aicore_overflow", "atomic_overflow", "all"]) if _NEW else (None, ANYTHING),
    },
    "profiling_config": {
        "enable_profiling": (False, _BOOL),
        "profiling_options": ('{"output": "./", "training_trace": "on", "task_trace": "on"}', ANYTHING),
    },
    "aoe_config": {"aoe_mode": (None, ["1", "2", "4"]), "work_path": ("./", ANYTHING)},
}
if _NEW:
    OPTIONS[""]["precision_mode_v2"] = (
        None,
        ["fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16", "cube_hif8", "mixed_hif8"],
    )
    OPTIONS[""]["oo_level"] = ("O3", ["O0", "O1", "O2", "O3"])
    OPTIONS["dump_config"]["dump_data"] = ("tensor", ["tensor", "stats"])

changed_after_open = []
is_open = []


class Option:
    """One option; its text is `value`."""

    def __init__(self, default, legal):
        self.default, self.legal, self._value = default, legal, default

    @property
    def value(self):
        if isinstance(self._value, bool):
            return "1" if self._value else "0"
        return None if self._value is None else str(self._value)

    def set(self, value):
        if self.legal is not None and value not in self.legal:
            raise ValueError(f"'{value}' not in optional list {self.legal}")
        if _NEW and self.default is not None and type(value) is not type(self.default):
            raise TypeError(f"Expected {type(self.default).__name__}, got {type(value).__name__}")
        self._value = value


class Group:
    """Options, and groups of them, by name."""

    def __init__(self, members):
        object.__setattr__(self, "_members", members)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._find(name)

    def __setattr__(self, name, value):
        member = self._find(name)
        if is_open:
            changed_after_open.append(name)
        if isinstance(member, Option):
            member.set(value)
        else:
            self._members[name] = value

    def _find(self, name):
        if name not in self._members:
            raise ValueError(f"NpuConfig has no option {name}, all options {sorted(self._members)}")
        return self._members[name]

    def as_dict(self):
        flat = {}
        for name, member in self._members.items():
            if isinstance(member, Group):
                flat.update(member.as_dict())
            elif member.value is not None:
                flat[name] = member.value
        return flat


def _group(name):
    return {option: Option(*parts) for option, parts in OPTIONS[name].items()}


_options = Group({**_group(""), **{name: Group(_group(name)) for name in OPTIONS if name}})


def global_options():
    return _options


def run_context_options():
    return Group({})
