# What `nix run` starts without a clone: the tool with its monitoring and scenarios beside it. The store can't be written, so
# state goes where AICLIPX_STATE says, else into ./aiclipx-state, and bundles into ./aiclipx-evidence unless --out says where.
{
  lib,
  writeShellApplication,
  aiclipx,
}:
let
  app =
    {
      name,
      description,
      command,
    }:
    {
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
  up = app {
    name = "up";
    description = "Start the stack and wait until all of it is ready";
    command = ''exec aiclipx up "$@"'';
  };
  traffic = app {
    name = "traffic";
    description = "Run scenarios against the running stack";
    command = ''exec aiclipx traffic run "$@"'';
  };
  evidence = app {
    name = "evidence";
    description = "Every experiment on a private stack; the last line on stdout is the bundle";
    command = ''
      case " $* " in
        *" --out "*) ;;
        *) set -- --out "$PWD/aiclipx-evidence" "$@" ;;
      esac
      exec aiclipx evidence run "$@"
    '';
  };
}
