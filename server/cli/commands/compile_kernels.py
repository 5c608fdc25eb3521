"""``depgraph compile``."""

import typer

from server.cli.failures import CommandError
from server.cli.options import DEFAULTS, DataDir, KernelCache


def compile_kernels(
    *, kernel_cache: KernelCache = DEFAULTS.kernel_cache, data_dir: DataDir = DEFAULTS.data_dir
) -> None:
    """
    Compile kernels before the first start.

    Otherwise 'serve' compiles them while it serves.
    """
    from graphcore.compiling import KernelError, compile_kernels, import_kernels
    from graphcore.kernel_cache import first_writable
    from server.lifecycle.kernels import KERNEL_PACKAGES, kernel_folders

    where = kernel_folders(kernel_cache, data_dir)
    folder = first_writable(where)
    if folder is None:
        tried = ", ".join(str(each) for each in where)
        raise CommandError(
            f"no folder can keep compiled kernels (tried {tried}): give another as --kernel-cache"
        )
    kernels = import_kernels(KERNEL_PACKAGES)
    typer.echo(f"kernels: compiling those of {len(kernels)} that {folder} does not have ...", err=True)
    # An image needs them in the first folder, even if the cache of the user who builds it has them.
    try:
        compile_kernels(kernels, folder)
    except KernelError as error:
        raise CommandError(str(error)) from error
    typer.echo(f"kernels: all are in {folder}", err=True)
