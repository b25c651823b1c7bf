# `nix build .#evidence`: every experiment with the pinned tools inside the build sandbox, without a network but loopback; the
# output is the bundle, bound to the revision it was built from (`aiclipx verify BUNDLE --repo CLONE`). A package and
# not a check: it is timed, and a busy machine may make it inconclusive (exit 3). The build fails unless every claim that could
# be shown holds. Asked for twice it is the same bundle; --rebuild makes another, which differs in every time it tells.
{
  lib,
  runCommand,
  makeFontsConf,
  dejavu_fonts,
  aiclipx,
  tools,
  revision,
}:
runCommand "aiclipx-evidence"
  {
    nativeBuildInputs = [ aiclipx ] ++ tools;
    env = {
      # Chromium draws text with what fontconfig finds, and the sandbox has none.
      FONTCONFIG_FILE = makeFontsConf { fontDirectories = [ dejavu_fonts ]; };
      # The tree in the store has no history for git to tell.
      AICLIPX_REVISION = revision;
    };
    meta = {
      description = "An evidence bundle made with the pinned tools";
      platforms = lib.platforms.linux;
    };
  }
  ''
    set -o pipefail
    export HOME=$TMPDIR/home AICLIPX_STATE=$TMPDIR/state
    mkdir -p "$HOME"
    bundle=$(aiclipx prove --out "$TMPDIR/bundles" | tee /dev/stderr | tail -n 1)
    cp -r "$bundle" $out
    aiclipx verify $out
  ''
