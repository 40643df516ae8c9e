package nibble.hub;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a fake hub holds of one repository: branches, commits, pull requests. */
final class FakeRepository {
    /** A file of a commit: its content, or the SHA-256 and size of an LFS object. */
    record Entry(byte[] content, String lfsOid, long size) {
        boolean lfs() {
            return !lfsOid.isEmpty();
        }
    }

    record Commit(String id, String parent, String title, Map<String, Entry> files) {}

    final boolean isPrivate;
    final Map<String, String> branches = new TreeMap<>();
    final Map<String, Commit> commits = new LinkedHashMap<>();
    final List<Commit> pullRequests = new ArrayList<>();

    FakeRepository(boolean isPrivate) {
        this.isPrivate = isPrivate;
        byte[] attributes = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n".getBytes(StandardCharsets.UTF_8);
        Commit first =
                add("", "initial commit", Map.of(".gitattributes", new Entry(attributes, "", attributes.length)));
        branches.put("main", first.id());
    }

    Commit add(String parent, String title, Map<String, Entry> files) {
        String id = hex("SHA-1", (commits.size() + title + parent).getBytes(StandardCharsets.UTF_8));
        Commit commit = new Commit(id, parent, title, new TreeMap<>(files));
        commits.put(id, commit);
        return commit;
    }

    /** The commit that a branch, or a commit's own id, names; null if none. */
    Commit at(String revision) {
        return commits.get(branches.getOrDefault(revision, revision));
    }

    /** Commits of a branch, newest first. */
    List<Commit> history(String branch) {
        List<Commit> history = new ArrayList<>();
        for (Commit c = at(branch); c != null; c = commits.get(c.parent())) {
            history.add(c);
        }
        return history;
    }

    static String hex(String algorithm, byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(bytes));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    static String gitBlob(byte[] content) {
        byte[] head = ("blob " + content.length + "\0").getBytes(StandardCharsets.US_ASCII);
        byte[] all = java.util.Arrays.copyOf(head, head.length + content.length);
        System.arraycopy(content, 0, all, head.length, content.length);
        return hex("SHA-1", all);
    }
}
