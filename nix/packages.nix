# All packages of one system, flat: a nested set would fail `nix flake check`. Images, evidence and the machine test are for
# Linux.
{
  pkgs,
  lib,
  revision,
  tools,
  module,
}:
let
  inherit (pkgs) callPackage dockerTools;
  aiclipx = callPackage ./package.nix { runtimeTools = tools.runtime; };
  app = callPackage ./package.nix { static = "aiclipx-app"; };
  # Items may be kept in PostgreSQL.
  app-postgres = callPackage ./package.nix {
    static = "aiclipx-app";
    features = [ "postgres" ];
  };
  image = build: import ./image.nix { inherit app revision build; };
in
{
  inherit aiclipx;
  default = aiclipx;
}
// lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux (
  {
    inherit app app-postgres;
    image = image dockerTools.buildLayeredImage;
    image-stream = image dockerTools.streamLayeredImage;
    image-postgres = import ./image.nix {
      inherit revision;
      app = app-postgres;
      name = "aiclipx-app-postgres";
      build = dockerTools.buildLayeredImage;
    };
    evidence = callPackage ./evidence.nix {
      inherit aiclipx revision;
      tools = tools.runtime;
    };
    vm-test = callPackage ./vm-test.nix { inherit module; };
  }
  # callPackages: callPackage would leave its own `override` among the packages.
  // pkgs.callPackages ./images.nix { tool = callPackage ./package.nix { static = "aiclipx"; }; }
)
