"""
Kernels to object code: numba makes LLVM's text of them, LLVM makes the code, for any processor of this architecture.

Imports numba, which takes half a second and 80 MB, a second and 130 MB with the first kernel: meant for a process of its own.
Walks through a graph wait for memory; code for this very processor was not faster, and could not be taken elsewhere with an image.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm

from graphcore.compiled import scratch
from graphcore.compiled.entry import entry_text, native_parameters
from graphcore.compiled.kernel import Kernel
from graphcore.compiled.signature import parse_signature

ANY_PROCESSOR = "generic"


class Compiler:
    """Compiles kernels one by one, and those that they call before them; not safe for threads."""

    def __init__(self) -> None:
        with _for_any_processor():
            import numba  # noqa: PLC0415 - told what to compile for when it is imported

        config: Any = numba.config
        self._njit: Any = numba.njit
        self._forms: dict[str, Any] = {}
        self._machine = _machine(
            llvm.get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME,
            llvm.get_host_cpu_features().flatten() if config.CPU_FEATURES is None else "",
        )

    def object_code(self, kernel: Kernel) -> bytes:
        """
        Return relocatable code with a function called as the kernel, see ``entry``; takes some 0.1 s.

        Whatever numba can't compile raises numba's error; ``ValueError`` when the code would need numba beside it.
        """
        form = self._form(kernel)
        module = llvm.parse_assembly(form.inspect_llvm(form.signatures[0]))
        native = _native(module)
        signature = parse_signature(kernel.signature)
        found = [str(argument.type) for argument in native.arguments]
        if found != native_parameters(signature):
            raise ValueError(
                f"numba calls {kernel.name} with {found}, expected {native_parameters(signature)}"
            )
        entry = entry_text(kernel.name, native.name, signature, nogil=kernel.nogil)
        makes_arrays = any(
            name.startswith("NRT_MemInfo_") and name != "NRT_MemInfo_call_dtor" for name in _needed(module)
        )
        self._link(module, entry + (scratch.counted(kernel.name) if makes_arrays else scratch.UNCOUNTED))
        for function in module.functions:
            if not function.is_declaration and function.name != kernel.name:
                function.linkage = llvm.Linkage.internal
        self._optimise(module)
        needed = _needed(module)
        if needed:
            raise ValueError(f"{kernel.name} can't run without numba, it uses {', '.join(needed)}")
        code: bytes = self._machine.emit_object(module)
        return code

    def _form(self, kernel: Kernel) -> Any:
        """Return what numba made of the kernel, from which other kernels can call it."""
        if kernel.name not in self._forms:
            callees = {name: self._form(called) for name, called in kernel.calls().items()}
            options = {"nogil": kernel.nogil, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
            self._forms[kernel.name] = self._njit(kernel.signature, **options)(kernel.clone(callees))
        return self._forms[kernel.name]

    @staticmethod
    def _link(module: Any, text: str) -> None:
        addition = llvm.parse_assembly(text)
        addition.triple, addition.data_layout = module.triple, module.data_layout
        module.link_in(addition)
        module.verify()

    def _optimise(self, module: Any) -> None:
        passes = llvm.create_pass_builder(self._machine, llvm.create_pipeline_tuning_options(speed_level=2))
        passes.getModulePassManager().run(module, passes)


@contextmanager
def _for_any_processor() -> Iterator[None]:
    """Let numba, if nobody has imported it yet, compile for every processor, and as nothing in the environment says otherwise."""
    if "numba" in sys.modules:
        yield
        return
    before = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
    for name in before:
        del os.environ[name]
    os.environ["NUMBA_CPU_NAME"] = ANY_PROCESSOR
    try:
        yield
    finally:
        del os.environ["NUMBA_CPU_NAME"]
        os.environ.update(before)


def _machine(processor: str, features: str) -> Any:
    """Return the target: the options are numba's, which are proven on all its platforms."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=processor,
        features=features,
        opt=3,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _native(module: Any) -> Any:
    """Find numba's function: the only one that it lets others see."""
    (native,) = (
        function
        for function in module.functions
        if not function.is_declaration and function.linkage == llvm.Linkage.external
    )
    return native


def _needed(module: Any) -> list[str]:
    """List what the code refers to and doesn't hold."""
    return sorted(
        function.name
        for function in module.functions
        if function.is_declaration and not function.name.startswith("llvm.")
    )
