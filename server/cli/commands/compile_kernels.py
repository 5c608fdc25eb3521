"""``depgraph compile``."""

import typer

from server.cli.failures import CommandError
from server.cli.options import DEFAULTS, DataDir, KernelCache


def compile_kernels(
    *, kernel_cache: KernelCache = DEFAULTS.kernel_cache, data_dir: DataDir = DEFAULTS.data_dir
) -> None:
    """Compile graph kernels ahead of the first start, into the first folder that can be written; else 'serve' does it aside."""
    from graphcore.compiled import KernelError, compile_and_keep, first_writable, import_kernels
    from server.lifecycle.kernels import KERNEL_PACKAGES, kernel_folders

    where = kernel_folders(kernel_cache, data_dir)
    folder = first_writable(where)
    if folder is None:
        tried = ", ".join(str(each) for each in where)
        raise CommandError(
            f"no folder can keep compiled kernels (tried {tried}): give another as --kernel-cache"
        )
    # Only this one is looked at: what an image needs must not be left in the cache of the user who builds it.
    try:
        compile_and_keep(import_kernels(KERNEL_PACKAGES), [folder], lambda said: typer.echo(said, err=True))
    except KernelError as error:
        raise CommandError(str(error)) from error
