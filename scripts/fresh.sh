#!/usr/bin/env bash
# scripts/fresh.sh [--user] [--keep DIR] [SUITE…] [-- COMMAND…]: proves the promise of the README on a machine that has nothing. Makes a
# Debian or an Ubuntu of its minimal packages, gives it this machine's Rust toolchain and nothing else (no C compiler, no git, no
# Python), clones HEAD to a path with spaces, and runs there `./dev just demo` and `./dev just test`, or `./dev COMMAND…`. Then it looks
# that the installation left nothing enabled, and times a second start. The first suite that fails ends it.
#
#   SUITE    trixie, bookworm, sid, or Ubuntu's resolute (26.04) and noble (24.04); without one, Debian's stable and the one before
#   --user   as somebody who is not root and has no sudo: where ./dev names a command to type as root, root types it, once
#   --keep DIR   copies what the machine wrote to evidence/runs (bundles, with their reports) to DIR before the machine is deleted
#
# What the fresh machine shares with this one: the kernel, the network, and this machine's own way to packages (its mirror where
# it is a Debian too, apt's proxy and certificates, pip's and cargo's configuration). A machine that got Rust by rustup had
# certificates too. It lives in a mount and process namespace of its own: however this ends, no mount and no process is left.
#
# FRESH_CACHE=DIR keeps downloads (Debian packages, crates) between runs; without it every run starts cold.
# Exit codes: 0, the command's, 2 when it can't be tried here (said why), 130 interrupted.
set -euo pipefail

# Read whole before it runs: this takes long enough for someone to edit it meanwhile.
{
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
say() { printf 'fresh: %s\n' "$*" >&2; }
stop() { say "$@" && exit 2; }

# Stable, and the one before.
promised=(trixie bookworm)

if [[ ! ${FRESH_INSIDE:-} ]]; then
  someone='' keep='' suites=()
  while (($#)); do
    case $1 in
      --) shift && break ;;
      --user) someone='yes' ;;
      --keep)
        keep=${2:-}
        [[ $keep && $keep != -* ]] || stop '--keep needs a folder: --keep DIR'
        mkdir -p -- "$keep" || stop "cannot keep anything in $keep (above): name a folder that can be written"
        keep=$(cd -- "$keep" && pwd -P)
        shift ;;
      trixie | bookworm | sid | resolute | noble) suites+=("$1") ;;
      *) stop "'$1' is no suite; there are trixie, bookworm, sid, resolute and noble, and a command stands behind --" ;;
    esac
    shift
  done
  [[ $(id -u) == 0 ]] || stop "making a machine takes root: sudo --preserve-env=PATH just fresh"
  [[ $(uname -s) == Linux ]] || stop "debootstrap needs Linux; this is $(uname -s)"
  for tool in debootstrap unshare pivot_root git rustc; do
    command -v "$tool" >/dev/null || stop "$tool is missing: AICLIPX_TOOLS=debian ./dev just fresh brings it"
  done
  # The demo's, which the fresh machine shares with this one: told now, and not after everything was built.
  if (($# == 0)) || [[ " $* " == *' demo '* ]]; then
    for port in 8080 8081 9090 9093 9095 3000; do
      ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
        stop "port $port is in use, and the demo there needs it: stop what listens (ss -ltnp tells)"
    done
  fi
  sysroot=$(rustc --print sysroot)
  [[ $sysroot != /usr && -x $sysroot/bin/cargo ]] ||
    stop "needs a Rust toolchain in a folder of its own (rustup's), to lend it; rustc's is $sysroot"
  trap 'rm -rf --one-file-system -- "${machine:-}"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  ((${#suites[@]})) || suites=("${promised[@]}")
  for suite in "${suites[@]}"; do
    machine=$(mktemp -d "${TMPDIR:-/var/tmp}/fresh.XXXXXX")
    FRESH_INSIDE=$machine FRESH_SUITE=$suite FRESH_SOMEONE=$someone FRESH_KEEP=$keep FRESH_SYSROOT=$sysroot \
      unshare --mount --pid --fork --kill-child --mount-proc bash "${BASH_SOURCE[0]}" "$@" || exit
    rm -rf --one-file-system -- "$machine"
  done
  exit 0
fi

# shellcheck source=scripts/progress.sh
. "$here/scripts/progress.sh"
said=$(mktemp)
machine=$FRESH_INSIDE suite=$FRESH_SUITE someone=$FRESH_SOMEONE
clone=''
# The paths that were printed there lead nowhere once the machine is gone.
# shellcheck disable=SC2317,SC2329 # the trap calls it
leave() {
  local runs=$machine$clone/evidence/runs
  rm -f "$progress_log" "$said"
  [[ $clone && -d $runs ]] || return 0
  if [[ ! $FRESH_KEEP ]]; then
    say 'evidence/runs goes with the machine; --keep DIR copies it out'
  elif cp -R -- "$runs/." "$FRESH_KEEP/"; then
    say "evidence/runs of the machine is kept in $FRESH_KEEP"
  else
    say "evidence/runs of the machine could not be kept in $FRESH_KEEP (above)"
  fi
}
trap leave EXIT
trap 'exit 130' INT
home=/root
[[ ! $someone ]] || home=/srv/someone
cache=${FRESH_CACHE:-}
if [[ $cache ]]; then
  mkdir -p "$cache"/{debootstrap,"archives-$suite","registry${someone:+-user}"}
  cache=$(cd "$cache" && pwd -P)
fi

# --- the machine ---------------------------------------------------------------------------------------------------------

# Where this machine gets a Debian archive from, if it is one too.
archive() {
  local found
  # shellcheck disable=SC2016 # apt's own placeholder
  found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Label: $1" 2>/dev/null |
    awk '/^https?:/ && !found++') || true
  printf '%s\n' "${found:-$2}"
}
options=() script=()
case $suite in
  resolute | noble)
    distribution=Ubuntu components=main,universe
    mirror=http://archive.ubuntu.com/ubuntu security=http://security.ubuntu.com/ubuntu
    # A Debian's debootstrap may be older than the suite, and all of Ubuntu's are made one way; and may lack Ubuntu's keys.
    script=(/usr/share/debootstrap/scripts/gutsy)
    keys=/usr/share/keyrings/ubuntu-archive-keyring.gpg
    if [[ -e $keys ]]; then
      options+=("--keyring=$keys")
    else
      options+=(--no-check-gpg)
      say "$keys is not here: the first packages are taken without a look at their signature"
    fi ;;
  *)
    distribution=Debian components=main
    mirror=$(archive Debian http://deb.debian.org/debian)
    security=$(archive Debian-Security http://security.debian.org/debian-security) ;;
esac

say "making a $distribution $suite of its minimal packages"
# A mount of its own, so that it can be the root of one, for everybody there.
chmod 755 "$machine"
mount --bind "$machine" "$machine"
progress debootstrap debootstrap --variant=minbase "--components=$components" ${cache:+"--cache-dir=$cache/debootstrap"} \
  "${options[@]}" "$suite" "$machine" "$mirror" "${script[@]}" ||
  { progress_report && stop "debootstrap could not make it (above). Is there a network? Does its version know $suite?"; }

# The suite's own sources and no others. sid is where updates come from, and has none.
{
  printf "deb %s %s ${components//,/ }\n" "$mirror" "$suite"
  [[ $suite == sid ]] ||
    printf "deb %s %s ${components//,/ }\n" "$mirror" "$suite-updates" "$security" "$suite-security"
} >"$machine/etc/apt/sources.list"
rm -f "$machine"/etc/apt/sources.list.d/*
# Only apt's settings for fetching are taken: its hooks call programs that are not there.
if command -v apt-config >/dev/null; then
  apt-config dump | grep '^Acquire::' >"$machine/etc/apt/apt.conf.d/99machine" || true
fi
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf ~/.config/pip/pip.conf ~/.pip/pip.conf; do
  [[ ! -e $file ]] || install -D -m 644 "$file" "$machine/${file/#"$HOME"/$home}"
done
for file in "${CARGO_HOME:-$HOME/.cargo}"/{config,config.toml}; do
  [[ ! -e $file ]] || install -D -m 644 "$file" "$machine$home/.cargo/${file##*/}"
done
for folder in /etc/ssl/certs /usr/local/share/ca-certificates; do
  [[ ! -d $folder ]] || { mkdir -p "$machine$folder" && cp -rL "$folder/." "$machine$folder/"; }
done

mkdir -p "$machine/opt/rust" "$machine$home/.cargo/registry"
mount --bind "$FRESH_SYSROOT" "$machine/opt/rust"
mount -o remount,bind,ro "$machine/opt/rust"
mount --rbind /dev "$machine/dev"
mount --rbind /sys "$machine/sys"
mount -t proc proc "$machine/proc"
if [[ $cache ]]; then
  mount --bind "$cache/archives-$suite" "$machine/var/cache/apt/archives"
  mount --bind "$cache/registry${someone:+-user}" "$machine$home/.cargo/registry"
fi

# --- the clone -----------------------------------------------------------------------------------------------------------

clone="$home/a clone with spaces/$(basename -- "$here")"
revision=$(git -C "$here" rev-parse HEAD)
[[ ! $(git -C "$here" status --porcelain --untracked-files=normal) ]] || say "the working tree differs from HEAD; what is tried is HEAD"
git clone --quiet --no-hardlinks --no-checkout "$here" "$machine$clone"
git -C "$machine$clone" checkout --quiet --detach "$revision"

# --- the proof -----------------------------------------------------------------------------------------------------------

# Only what leads to packages comes along from this environment.
environment=("HOME=$home" "USER=$(basename -- "$home")" LANG=C.UTF-8 "TERM=${TERM:-dumb}")
while IFS= read -r name; do
  case $name in
    # What lets publish is nobody's way to packages.
    *_TOKEN) ;;
    *_proxy | *_PROXY | PIP_* | SSL_CERT_FILE | SSL_CERT_DIR | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTR* | CARGO_SOURCE_*)
      environment+=("$name=${!name}") ;;
  esac
done < <(compgen -e)

# within LEAD… -- WORDS…: runs LEAD… WORDS… in the clone, on the fresh machine. Its root is made the root of a mount namespace,
# and not by chroot: the kernel gives no user namespace to who is in a chroot, and Chromium's sandbox is made of one.
within() {
  local lead=()
  while [[ $1 != -- ]]; do lead+=("$1") && shift; done
  shift
  # shellcheck disable=SC2016 # expanded inside
  unshare --mount bash -c 'cd "$1" && shift && pivot_root . . && umount -l . && cd "$1" && shift && exec "$@"' fresh \
    "$machine" "$clone" /usr/bin/env -i "${environment[@]}" "${lead[@]}" "$@"
}
sbin=/usr/local/sbin:/usr/sbin:/sbin bin=/opt/rust/bin:/usr/local/bin:/usr/bin:/bin
as_root() { within "PATH=$sbin:$bin" -- "$@"; }
as_someone() { within "PATH=$bin" setpriv --reuid=1000 --regid=1000 --init-groups -- "$@"; }

if [[ $someone ]]; then
  as_root useradd --uid 1000 --user-group --shell /bin/bash someone
  chown -R --no-dereference 1000:1000 "$machine$home"
fi

# inside WORDS…: as who we are there. Somebody who is not root is told once what to type as root, by one command on a line of its
# own; root types that very line, and it goes on.
inside() {
  if [[ ! $someone ]]; then
    as_root "$@"
    return
  fi
  local status=0 line
  : >"$said"
  as_someone "$@" 2> >(tee "$said" >&2) || status=$?
  wait "$!"
  if ((status == 2)) && line=$(grep -m 1 '^  su -c .*/install-debian\.sh ' "$said"); then
    say "root types: ${line#  }"
    as_root bash -c "$line"
    status=0
    as_someone "$@" || status=$?
  fi
  return "$status"
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
say "everything went well on $suite${someone:+, not as root,} at $revision in $((SECONDS - began)) s;" \
  "nothing left enabled; a second start of ./dev took $second s"
exit
}
