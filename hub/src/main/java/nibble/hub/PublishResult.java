package nibble.hub;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import nibble.files.digest.Sha256;

/**
 * Describes what was, or in a dry run would be, done.
 *
 * @param repo organization/name
 * @param branch where to
 * @param created whether the repository is new
 * @param commit commit at the branch's tip that holds the files; empty after a dry run
 * @param committed whether a commit or a pull request was made; neither is if the branch holds all files already
 * @param url page of the commit, the pull request, or the branch
 * @param files every file of the folder
 * @param leftovers weight files of the repository that the folder does not have
 * @param bytesSent bytes of large files sent, without those of tries that failed
 */
public record PublishResult(
        String repo,
        String branch,
        boolean created,
        String commit,
        boolean committed,
        String url,
        List<PublishedFile> files,
        List<String> leftovers,
        long bytesSent) {

    /** Says what a file needed. */
    public enum Need {
        /** The repository had this very content under this name. */
        UNCHANGED,
        /** A small file, sent within the commit. */
        IN_COMMIT,
        /** A large file, sent to the object store, or found there. */
        STORED,
        /** The repository's own rules leave it out. */
        IGNORED
    }

    /** Describes one file of the folder. */
    public record PublishedFile(String path, long bytes, String sha256, Need need) {}

    public PublishResult {
        files = List.copyOf(files);
        leftovers = List.copyOf(leftovers);
    }

    /** Returns this result with another small file, which would be written before. */
    public PublishResult with(String path, String text) {
        byte[] content = text.getBytes(StandardCharsets.UTF_8);
        String sha256 = new Sha256().add(content).hex();
        List<PublishedFile> more = new ArrayList<>(files);
        more.add(new PublishedFile(path, content.length, sha256, Need.IN_COMMIT));
        more.sort(Comparator.comparing(PublishedFile::path));
        return new PublishResult(repo, branch, created, commit, committed, url, more, leftovers, bytesSent);
    }
}
