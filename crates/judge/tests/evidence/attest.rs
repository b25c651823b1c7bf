//! What a bundle can't say of itself: to which revision it is bound, and who signed it. With real git and ssh-keygen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aiclipx_judge::attest::{bound_to, sign, signed_by};
use aiclipx_judge::bundle::{Bundle, SIGNATURE};
use aiclipx_model::failure::{Failure, Kind};
use tempfile::TempDir;

use crate::bundle::{Archive, Sealed};
use crate::world;

/// A repository that holds the tree of the worlds.
struct Repository(TempDir);

impl Repository {
    fn of_the_tree() -> Repository {
        let repository = Repository(tempfile::Builder::new().prefix("a clone ").tempdir().unwrap());
        world::tree().copy_to(repository.0.path()).unwrap();
        repository.git(&["init", "--quiet"]);
        repository.commit("the tree");
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let named = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"];
        let answer = Command::new("git").arg("-C").arg(self.0.path()).args(named).args(arguments).output().unwrap();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

fn binding(sealed: &Sealed, repository: &Repository) -> Result<usize, Failure> {
    let bundle = Bundle::open(&sealed.folder)?;
    let outcome = bundle.verify()?;
    bound_to(&bundle, &outcome.provenance, repository.0.path())
}

/// It is refused, and the reason names this.
fn refused<T>(result: Result<T, Failure>, kind: Kind, named: &str) {
    let Err(failure) = result else { panic!("not refused: {named}") };
    assert_eq!(failure.kind(), kind, "{failure}");
    assert!(failure.to_string().contains(named), "`{named}` is not in: {failure}");
}

#[test]
fn a_tree_is_its_revisions_file_by_file_or_is_not_bound() {
    const RULES: &str = "monitoring/prometheus/rules/app.yml";
    let repository = Repository::of_the_tree();
    let revision = repository.git(&["rev-parse", "HEAD"]);
    let sealed = Archive::sound().of_revision(&revision, None).sealed();
    let files = binding(&sealed, &repository).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(files > 30, "{files} files");

    let rules = repository.0.path().join(RULES);
    fs::write(&rules, fs::read_to_string(&rules).unwrap() + "# another line\n").unwrap();
    let edited = repository.commit("another rule file");
    let file = repository.0.path().join("monitoring/more.md");
    fs::write(&file, "more").unwrap();
    let added = repository.commit("a file more");

    assert!(binding(&sealed, &repository).is_ok(), "the revision counts, and not what is checked out");
    let bundle = Bundle::open(&sealed.folder).unwrap();
    let provenance = bundle.verify().unwrap().provenance;
    let below = bound_to(&bundle, &provenance, &repository.0.path().join("monitoring/prometheus"));
    assert_eq!(below.unwrap_or_else(|failure| panic!("{failure}")), files, "any folder of a clone names it");
    let of = |revision: &str, dirty| Archive::sound().of_revision(revision, dirty).sealed();
    refused(binding(&of(&edited, None), &repository), Kind::InvalidBundle, RULES);
    refused(binding(&of(&added, None), &repository), Kind::InvalidBundle, "monitoring/more.md (missing)");
    refused(binding(&of(&revision, Some("00ff")), &repository), Kind::InvalidBundle, "uncommitted changes");
    refused(binding(&of(&"0".repeat(40), None), &repository), Kind::Usage, "has no revision");
}

/// A key without a passphrase, and the line that allows it.
fn key(place: &Path, name: &str) -> (PathBuf, String) {
    let file = place.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).status();
    assert!(made.expect("ssh-keygen runs").success());
    let public = fs::read_to_string(file.with_extension("pub")).unwrap();
    (file, format!("{name} {public}"))
}

#[test]
fn a_signature_says_who_sealed_and_no_other_will_do() {
    let place = tempfile::Builder::new().prefix("some keys ").tempdir().unwrap();
    let (alices, alice) = key(place.path(), "alice");
    let (_, bob) = key(place.path(), "bob");
    let signers = place.path().join("signers");
    fs::write(&signers, &alice).unwrap();
    let sealed = Archive::sound().sealed();
    let bundle = Bundle::open(&sealed.folder).unwrap();

    refused(signed_by(&bundle, &signers), Kind::InvalidBundle, "not signed");
    sign(&bundle, &alices, false).unwrap_or_else(|failure| panic!("{failure}"));
    let told = signed_by(&bundle, &signers).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(told.starts_with("alice, ED25519 key SHA256:"), "{told}");
    // Of a pattern it is the key that says who it was.
    fs::write(&signers, alice.replacen("alice ", "*@example.org ", 1)).unwrap();
    let by_pattern = signed_by(&bundle, &signers).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(by_pattern, told.replacen("alice", "somebody allowed as *@example.org", 1));
    bundle.verify().expect("a signature beside the sums is no extra file");

    let signature = fs::read(bundle.folder().join(SIGNATURE)).unwrap();
    refused(sign(&bundle, &place.path().join("nothing"), false), Kind::Usage, "cannot sign with");
    assert_eq!(fs::read(bundle.folder().join(SIGNATURE)).unwrap(), signature, "it stays");

    let for_git = alice.replacen("alice ", "alice-of-git namespaces=\"git\" ", 1);
    let for_two = alice.replacen("alice ", "carol,alice ", 1);
    let for_us = alice.replacen("alice ", "alice namespaces=\"aiclipx-evidence\" ", 1);
    for (lines, named) in [
        ([&for_git, &for_us], Some("alice")),
        ([&for_us, &for_git], Some("alice")),
        ([&for_git, &for_two], Some("carol")),
        ([&for_git, &for_git], None),
    ] {
        fs::write(&signers, lines.map(String::as_str).concat()).unwrap();
        match named {
            Some(named) => {
                let name = signed_by(&bundle, &signers).unwrap_or_else(|failure| panic!("{failure}"));
                assert!(name.starts_with(&format!("{named}, ")), "{name}");
            }
            None => refused(signed_by(&bundle, &signers), Kind::InvalidBundle, "namespace"),
        }
    }

    refused(signed_by(&bundle, &place.path().join("nothing")), Kind::Usage, "no file");
    fs::write(&signers, bob).unwrap();
    refused(signed_by(&bundle, &signers), Kind::InvalidBundle, "nobody in");
}

#[test]
fn a_signature_by_another_key_is_replaced_only_where_that_is_wanted() {
    let place = tempfile::tempdir().unwrap();
    let (alices, _) = key(place.path(), "alice");
    let (bobs, bob) = key(place.path(), "bob");
    let sealed = Archive::sound().sealed();
    let bundle = Bundle::open(&sealed.folder).unwrap();
    let signature = sign(&bundle, &alices, false).unwrap_or_else(|failure| panic!("{failure}"));
    let stands = || fs::read(&signature).unwrap();
    let by_alice = stands();

    refused(sign(&bundle, &bobs, false), Kind::Usage, "is signed already, with ED25519 key SHA256:");
    assert_eq!(stands(), by_alice, "it stays");
    sign(&bundle, &alices, false).unwrap_or_else(|failure| panic!("the same key again: {failure}"));
    sign(&bundle, &bobs, true).unwrap_or_else(|failure| panic!("{failure}"));
    let signers = place.path().join("signers");
    fs::write(&signers, bob).unwrap();
    assert!(signed_by(&bundle, &signers).unwrap_or_else(|failure| panic!("{failure}")).starts_with("bob, "));

    fs::write(&signature, "no signature").unwrap();
    refused(sign(&bundle, &alices, false), Kind::Usage, "is signed already, by a signature that is not of these sums");
}

/// ssh-keygen would wait for a pipe's other end; what is tried here ends by itself in either case.
#[test]
fn a_key_is_a_regular_file() {
    let sealed = Archive::sound().sealed();
    let bundle = Bundle::open(&sealed.folder).unwrap();
    for key in [Path::new("/dev/null"), &sealed.folder] {
        refused(sign(&bundle, key, false), Kind::Usage, "it is no regular file");
    }
}

#[test]
fn a_signature_is_of_these_sums_and_no_others() {
    let place = tempfile::tempdir().unwrap();
    let (alices, alice) = key(place.path(), "alice");
    let signers = place.path().join("signers");
    fs::write(&signers, alice).unwrap();
    let (one, other) = (Archive::sound().sealed(), Archive::sound().superseded(&[]).of_revision("0123", None).sealed());
    let signature =
        sign(&Bundle::open(&one.folder).unwrap(), &alices, false).unwrap_or_else(|failure| panic!("{failure}"));
    fs::copy(signature, other.folder.join(SIGNATURE)).unwrap();
    refused(signed_by(&Bundle::open(&other.folder).unwrap(), &signers), Kind::InvalidBundle, "L3, signature");

    fs::write(other.folder.join("report.md"), "All is well.").unwrap();
    refused(sign(&Bundle::open(&other.folder).unwrap(), &alices, false), Kind::InvalidBundle, "report.md");
}
