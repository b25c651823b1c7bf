# Wiring only: one input, the systems, one import per kind of output from nix/.
{
  description = "aiclipx: an observability stack that proves itself";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      systems = linux ++ [ "aarch64-darwin" ];
      forEach = names: f: lib.genAttrs names (system: f nixpkgs.legacyPackages.${system});
      # For the image's label and environment; never compiled in, so that the binary changes only with its source.
      revision = self.rev or self.dirtyRev or "unknown";
    in
    {
      packages = forEach systems (
        pkgs:
        let
          tools = import ./nix/tools.nix { inherit pkgs lib; };
          aiclipx = pkgs.callPackage ./nix/package.nix { runtimeTools = tools.runtime; };
        in
        {
          inherit aiclipx;
          default = aiclipx;
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux rec {
          # The service alone, static: a Linux matter, as the image is.
          app = pkgs.callPackage ./nix/package.nix { onlyApp = true; };
          image = pkgs.callPackage ./nix/image.nix { inherit app revision; };
        }
      );

      devShells = forEach systems (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix {
          tools = (import ./nix/tools.nix { inherit pkgs lib; }).all;
        };
      });

      checks = forEach systems (
        pkgs:
        import ./nix/checks.nix {
          inherit pkgs lib;
          packages = self.packages.${pkgs.stdenv.hostPlatform.system};
          tools = (import ./nix/tools.nix { inherit pkgs lib; }).test;
        }
      );

      formatter = forEach systems (pkgs: pkgs.nixfmt-tree);
    };
}
