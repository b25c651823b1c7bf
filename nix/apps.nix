# What `nix run` starts without a clone: the tool with its monitoring and scenarios beside it. The store can't be written, so
# state goes where AICLIPX_STATE says, else into ./aiclipx-state, and bundles into ./aiclipx-evidence unless --out says where.
{
  lib,
  writeShellApplication,
  aiclipx,
}:
let
  app = name: command: description: {
    type = "app";
    program = lib.getExe (writeShellApplication {
      name = "aiclipx-${name}";
      runtimeInputs = [ aiclipx ];
      text = ''
        export AICLIPX_STATE="''${AICLIPX_STATE:-$PWD/aiclipx-state}"
        ${command}
      '';
    });
    meta = { inherit description; };
  };
in
rec {
  default = up;
  up = app "up" ''exec aiclipx up "$@"'' "Start the stack and wait until all of it is ready";
  traffic = app "traffic" ''exec aiclipx traffic run "$@"'' "Run scenarios against the running stack";
  evidence = app "evidence" ''
    case " $* " in
      *" --out "*) ;;
      *) set -- --out "$PWD/aiclipx-evidence" "$@" ;;
    esac
    exec aiclipx evidence run "$@"
  '' "Every experiment on a private stack; the last line on stdout is the bundle";
}
