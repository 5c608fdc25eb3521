# Sourced by what installs: checks Python and gives uv, of the version in uv.lock.
root=$(cd "$(dirname "$0")/.." && pwd)

export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=

# A proxy may have certificates of its own, which the system or SSL_CERT_FILE knows; pip before 24.2 asks neither.
for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if test -z "${PIP_CERT:-}" && test -r "$bundle"; then
        export PIP_CERT="$bundle"
    fi
done

# Print $PYTHON or the first Python that can run depgraph, or fail with the reason.
find_python() {
    minors=$(sed -n 's/.*"Programming Language :: Python :: 3\.\([0-9]*\)".*/\1/p' "$root/pyproject.toml" | sort -rn)
    set -- python3
    for minor in $minors; do set -- "$@" "python3.$minor"; done
    test -z "${PYTHON:-}" || set -- "$PYTHON"
    for candidate in "$@"; do
        if reason=$("$candidate" "$root/scripts/check_python.py" 2>&1); then
            echo "$candidate"
            return
        fi
        # A reason of the first that runs at all says more than that another does not exist.
        case $reason in depgraph*) said=${said:-$reason} ;; esac
    done
    needed="depgraph needs Python 3.$(echo "$minors" | tail -n 1) to 3.$(echo "$minors" | head -n 1) with venv"
    absent=${PYTHON:+"$PYTHON does not run"}
    echo "${said:-"$needed, and ${absent:-none was found}"} (PYTHON=... names another)" >&2
    return 1
}

# Install uv into the environment at $1, unless it has that version.
install_uv() {
    version=$(sed -n '/^name = "uv"$/{n;s/^version = "\(.*\)"$/\1/p;}' "$root/uv.lock")
    case $("$1/bin/uv" --version 2>/dev/null) in
        "uv $version" | "uv $version "*) ;;
        *) "$1/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$version" ;;
    esac
}

# Run `uv sync` with the options given; a package without a wheel is one sentence, not a compiler's error.
sync() {
    if ! said=$("$@" --no-build --no-install-project --dry-run --quiet 2>&1); then
        case $said in
            *--no-build*)
                package=$(echo "$said" | sed -n 's/.*Distribution `\([^ `]*\).*/\1/p')
                echo "there is no wheel of $package for this Python and platform (PYTHON=... names another Python)" >&2
                ;;
            *) echo "$said" >&2 ;;
        esac
        return 1
    fi
    "$@" --quiet
}
