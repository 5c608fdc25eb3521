"""``depgraph compile``."""

import typer

from server.cli.failures import CommandError
from server.cli.settings import DEFAULTS, DataDir, KernelCache


def compile_kernels(
    *, kernel_cache: KernelCache = DEFAULTS.kernel_cache, data_dir: DataDir = DEFAULTS.data_dir
) -> None:
    """Compile graph kernels ahead of the first start; 'serve' does it aside when nobody has."""
    from graphcore.compiled import compile_and_keep, import_kernels
    from server.lifecycle.kernels import KERNEL_PACKAGES, kernel_folders

    where = kernel_folders(kernel_cache, data_dir)
    kept, _ = compile_and_keep(
        import_kernels(KERNEL_PACKAGES), where, lambda said: typer.echo(said, err=True)
    )
    if kept is None:
        tried = ", ".join(str(folder) for folder in where)
        raise CommandError(
            f"no folder can keep compiled kernels (tried {tried}): give another as --kernel-cache"
        )
