#!/usr/bin/env bash
# scripts/fresh.sh [COMMAND…]: proves the promise of the README on a machine that has nothing. Makes a Debian 12 of its minimal
# packages, gives it this machine's Rust toolchain and nothing else (no C compiler, no git, no Python), clones HEAD to a path
# with spaces, and runs there `./dev just demo` and `./dev just test`, or `./dev COMMAND…`. Then it looks that the installation
# left nothing enabled, and times a second start.
#
# What the fresh machine shares with this one: the kernel, the network, and this machine's own way to packages (apt's sources,
# proxy and certificates, pip's and cargo's configuration). A machine that got Rust by rustup had certificates too.
# It lives in a mount and process namespace of its own: however this ends, no mount and no process is left.
#
# FRESH_CACHE=DIR keeps downloads (Debian packages, crates) between runs; without it every run starts cold.
# Exit codes: 0, the command's, 2 when it can't be tried here (said why), 130 interrupted.
set -euo pipefail

# Read whole before it runs: this takes long enough for someone to edit it meanwhile.
{
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
say() { printf 'fresh: %s\n' "$*" >&2; }
stop() { say "$@" && exit 2; }

if [[ ! ${FRESH_INSIDE:-} ]]; then
  [[ $(id -u) == 0 ]] || stop "making a machine takes root: sudo --preserve-env=PATH just fresh"
  [[ $(uname -s) == Linux ]] || stop "debootstrap needs Linux; this is $(uname -s)"
  for tool in debootstrap unshare git rustc; do command -v "$tool" >/dev/null || stop "$tool is missing: AICLIPX_TOOLS=debian ./dev just fresh brings it"; done
  sysroot=$(rustc --print sysroot)
  [[ $sysroot != /usr && -x $sysroot/bin/cargo ]] || stop "needs a Rust toolchain in a folder of its own (rustup's), to lend it; rustc's is $sysroot"
  machine=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh.XXXXXX")
  trap 'rm -rf --one-file-system -- "$machine"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  status=0
  FRESH_INSIDE=$machine FRESH_SYSROOT=$sysroot unshare --mount --pid --fork --kill-child --mount-proc \
    bash "${BASH_SOURCE[0]}" "$@" || status=$?
  exit "$status"
fi

# shellcheck source=scripts/progress.sh
. "$here/scripts/progress.sh"
trap 'rm -f "$progress_log"' EXIT
trap 'exit 130' INT
machine=$FRESH_INSIDE
cache=${FRESH_CACHE:-}
[[ ! $cache ]] || { mkdir -p "$cache"/{debootstrap,archives,registry} && cache=$(cd "$cache" && pwd -P); }

# --- the machine ---------------------------------------------------------------------------------------------------------

# This machine's own mirror where it is a Debian 12 too; else debootstrap's default.
# shellcheck disable=SC2016 # apt's own placeholder
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1) || true
say "making a Debian 12 of its minimal packages"
progress debootstrap debootstrap --variant=minbase ${cache:+"--cache-dir=$cache/debootstrap"} bookworm "$machine" ${mirror:+"$mirror"} ||
  { progress_report && stop "debootstrap could not make it (above). Is there a network?"; }

# This machine's way to packages. Only apt's settings for fetching are taken: its hooks call programs that are not there.
if [[ $mirror ]]; then
  rm -f "$machine/etc/apt/sources.list"
  for part in sources.list sources.list.d auth.conf.d keyrings trusted.gpg.d; do
    [[ ! -e /etc/apt/$part ]] || cp -aL "/etc/apt/$part" "$machine/etc/apt/"
  done
fi
if command -v apt-config >/dev/null; then
  apt-config dump | grep '^Acquire::' >"$machine/etc/apt/apt.conf.d/99machine" || true
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf; do
  [[ ! -e $file ]] || install -D -m 644 "$file" "$machine/${file/#"$HOME"//root}"
done
for file in config config.toml; do
  [[ ! -e ${CARGO_HOME:-$HOME/.cargo}/$file ]] || install -D -m 644 "${CARGO_HOME:-$HOME/.cargo}/$file" "$machine/root/.cargo/$file"
done
for folder in /etc/ssl/certs /usr/local/share/ca-certificates; do
  [[ ! -d $folder ]] || { mkdir -p "$machine$folder" && cp -rL "$folder/." "$machine$folder/"; }
done

mkdir -p "$machine/opt/rust" "$machine/root/.cargo/registry"
mount --bind "$FRESH_SYSROOT" "$machine/opt/rust"
mount -o remount,bind,ro "$machine/opt/rust"
mount --rbind /dev "$machine/dev"
mount --rbind /sys "$machine/sys"
mount -t proc proc "$machine/proc"
if [[ $cache ]]; then
  mount --bind "$cache/archives" "$machine/var/cache/apt/archives"
  mount --bind "$cache/registry" "$machine/root/.cargo/registry"
fi

# --- the clone -----------------------------------------------------------------------------------------------------------

clone="/root/a clone with spaces/$(basename -- "$here")"
revision=$(git -C "$here" rev-parse HEAD)
[[ ! $(git -C "$here" status --porcelain --untracked-files=normal) ]] || say "the working tree differs from HEAD; what is tried is HEAD"
git clone --quiet --no-hardlinks --no-checkout "$here" "$machine$clone"
git -C "$machine$clone" checkout --quiet --detach "$revision"

# --- the proof -----------------------------------------------------------------------------------------------------------

# Only what leads to packages comes along from this environment.
environment=(HOME=/root USER=root LANG=C.UTF-8 "TERM=${TERM:-dumb}" PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
while IFS= read -r name; do
  case $name in
    *_proxy | *_PROXY | PIP_* | SSL_CERT_FILE | SSL_CERT_DIR | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTR* | CARGO_SOURCE_*)
      environment+=("$name=${!name}") ;;
  esac
done < <(compgen -e)

# inside WORDS…: runs them in the clone, on the fresh machine.
inside() {
  # shellcheck disable=SC2016 # expanded inside
  chroot "$machine" /usr/bin/env -i "${environment[@]}" /bin/bash -c 'cd "$1" && shift && exec "$@"' fresh "$clone" "$@"
}
# Units and start scripts; rcS.d holds what prepares a machine at boot, which is nobody's service.
enabled() { find "$machine/etc/systemd" "$machine"/etc/rc[2-5].d \( -path '*.wants/*' -o -name 'S*' \) 2>/dev/null | sort; }

enabled_before=$(enabled)
began=$SECONDS
if (($#)); then
  say "./dev $*"
  inside ./dev "$@"
else
  for recipe in demo test; do
    say "./dev just $recipe"
    inside ./dev just "$recipe"
    say "./dev just $recipe: well after $((SECONDS - began)) s"
  done
fi

inside ./dev true  # what any later start finds in place
left=$(comm -13 <(printf '%s\n' "$enabled_before") <(enabled))
[[ ! $left ]] || { say "the installation left enabled:" && printf '%s\n' "$left" >&2 && exit 1; }
[[ ! -e $machine/usr/sbin/policy-rc.d ]] || { say "the installation left its policy-rc.d" && exit 1; }
TIMEFORMAT=%R
second=$({ time inside ./dev true 2>/dev/null; } 2>&1)
say "everything went well at $revision in $((SECONDS - began)) s; nothing left enabled; a second start of ./dev took $second s"
exit
}
