# The project's programs. By default all, the tool wrapped with what it runs and with monitoring/ and scripts/ beside it;
# with `static` one program by its name, static and referring to nothing: what an image holds.
{
  lib,
  rustPlatform,
  makeBinaryWrapper,
  nukeReferences,
  glibc,
  gitMinimal,
  openssh,
  static ? null,
  # Of the service's, by name.
  features ? [ ],
  runtimeTools ? [ ],
}:
let
  cargo = lib.importTOML ../Cargo.toml;
  tool = lib.importTOML ../crates/tool/Cargo.toml;
  # The service is built and tested by itself, as its image has it.
  onlyApp = static == "aiclipx-app";
  # Exactly what the programs are made of: a change of README or evidence rebuilds nothing.
  source = lib.fileset.unions (
    [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      # Cargo wants every member of the workspace to exist.
      ../crates
    ]
    ++ lib.optionals onlyApp [
      # Its tests hold the defaults to the limits that are written there.
      ../compose.yaml
      (lib.fileset.maybeMissing ../tests/app)
    ]
    # Compiled in: what a tree means that names no service.
    ++ lib.optional (!onlyApp) ../monitoring/service.toml
    ++ lib.optionals (static == null) [
      ../flake.lock
      ../monitoring
      ../scripts/traffic
    ]
  );
in
rustPlatform.buildRustPackage (
  {
    pname = if static == null then "aiclipx" else "${static}-static";
    inherit (cargo.workspace.package) version;
    src = lib.fileset.toSource {
      root = ../.;
      fileset = source;
    };
    # Every crate by its checksum in Cargo.lock: no second hash to keep in step.
    cargoLock.lockFile = ../Cargo.lock;
    strictDeps = true;

    # Cargo wants every benchmark that its manifest names to exist; built is none.
    postPatch = ''
      mkdir -p benches
      ${lib.concatMapStringsSep "\n" (bench: "touch benches/${bench.name}.rs") (cargo.bench or [ ])}
    '';

    # The folder of the build would otherwise end up in panic messages. Read by nixpkgs' rustc wrapper: in RUSTFLAGS it
    # would put cargo's other flags out of force.
    preBuild = ''
      export NIX_RUSTFLAGS="''${NIX_RUSTFLAGS:-} --remap-path-prefix=$NIX_BUILD_TOP=/build"
    '';

    meta = {
      inherit ((if onlyApp then cargo else tool).package) description;
      license = lib.licenses.asl20;
      mainProgram = if static == null then "aiclipx" else static;
      platforms = if static == null then lib.platforms.unix else lib.platforms.linux;
    };
  }
  // (
    if static != null then
      {
        cargoBuildFlags = [
          "--package"
          (if onlyApp then "aiclipx-app" else "aiclipx-tool")
          "--bin"
          static
        ]
        ++ lib.concatMap (feature: [
          "--features"
          feature
        ]) features;
        # The tool's tests need the stack's programs: checks.nix runs them.
        doCheck = onlyApp;
        cargoTestFlags = [
          "--package"
          "aiclipx-app"
        ];
        # nixpkgs' cargo hooks name the target, so these flags spare build scripts and procedural macros, which can't be static.
        # As a build input the static C library would be found first by those, too, and build scripts crashed.
        env.RUSTFLAGS = "-C target-feature=+crt-static -L native=${glibc.static}/lib";
        nativeBuildInputs = [ nukeReferences ];
        # nixpkgs strips by itself, and of a program only what a debugger reads.
        stripAllList = [ "bin" ];
        # glibc's archive names its own locale and plugin folders, which would drag all of glibc into the image.
        postFixup = ''
          nuke-refs $out/bin/${static}
        '';
        allowedReferences = [ ];
      }
    else
      {
        # Tested by checks.nix on the whole tree: here the tests would lack the files they hold to account.
        doCheck = false;
        # Not aiclipx-mutants and aiclipx-foreign, which are for who develops the stack.
        cargoBuildFlags = [
          "--bin"
          "aiclipx"
          "--bin"
          "aiclipx-app"
          "--bin"
          "aiclipx-verify"
        ];
        nativeBuildInputs = [ makeBinaryWrapper ];
        postInstall = ''
          mkdir -p $out/share/aiclipx
          cp -r flake.lock monitoring scripts $out/share/aiclipx/
          wrapProgram $out/bin/aiclipx \
            --set-default AICLIPX_HOME $out/share/aiclipx \
            --set-default AICLIPX_APP $out/bin/aiclipx-app \
            --prefix PATH : ${
              lib.makeBinPath (
                runtimeTools
                ++ [
                  gitMinimal
                  openssh
                ]
              )
            }
        '';
      }
  )
)
