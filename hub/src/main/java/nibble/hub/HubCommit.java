package nibble.hub;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Base64;
import java.util.List;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishResult.Need;
import nibble.hub.client.HubApi;
import nibble.hub.client.HubApi.Committed;
import nibble.hub.client.HubException;
import nibble.hub.client.HubHttp;
import nibble.hub.client.LocalFile;

/**
 * The commit that gives stored files their names. It is never sent twice blindly: each try names the commit it builds
 * on, and after an answer that was lost the branch is read again to see whether the commit is there.
 */
final class HubCommit {
    private static final int TRIES = 4;

    /** The hub takes at most this much content within commits' bodies. */
    private static final long MAX_CONTENT_BYTES = 100_000_000;

    private final HubApi api;
    private final PublishRequest request;
    private final List<LocalFile> files;

    HubCommit(HubApi api, PublishRequest request, List<LocalFile> files) {
        this.api = api;
        this.request = request;
        this.files = files;
    }

    /** Commits what the branch lacks; nothing if it lacks nothing. */
    Committed commit(BranchState first) {
        BranchState state = first;
        for (int attempt = 1; ; attempt++) {
            if (state.complete()) {
                // After a try whose answer was lost, the commit that is there is ours.
                return new Committed(state.head().orElse(""), attempt > 1, "", "");
            }
            String body = body(state);
            boolean pullRequest = request.how() == How.PULL_REQUEST;
            try {
                return api.commit(request.branch(), body, pullRequest);
            } catch (HubException e) {
                // 409 and 412: another commit came first.
                boolean overtaken = e.status() == 409 || e.status() == 412;
                if (e.outcomeUnknown() && pullRequest) {
                    throw new HubException(
                            "the answer to the pull request was lost, it may exist: look at the discussions of "
                                    + request.repo() + " before you run again (" + e.getMessage() + ")",
                            e.status(),
                            e.errorCode(),
                            e);
                }
                if (attempt == TRIES || !(overtaken || e.outcomeUnknown() || e.status() == 429)) {
                    throw e;
                }
                api.pause(
                        attempt,
                        request.repo() + ": "
                                + (overtaken ? "another commit came first" : "the answer to the commit is missing")
                                + (e.status() > 0 ? " (HTTP " + e.status() + ")" : ""));
                state = BranchState.of(api, request, files);
            }
        }
    }

    private String body(BranchState state) {
        List<LocalFile> small = state.files(Need.IN_COMMIT);
        long content = small.stream().mapToLong(LocalFile::bytes).sum();
        if (content > MAX_CONTENT_BYTES) {
            throw new HubException("the hub would take " + content + " bytes of files within the commit, more than "
                    + MAX_CONTENT_BYTES + "; add their names to .gitattributes with filter=lfs");
        }
        StringBuilder lines = new StringBuilder();
        ObjectNode header = HubHttp.JSON
                .createObjectNode()
                .put("summary", request.message())
                .put("description", "");
        state.head().ifPresent(commit -> header.put("parentCommit", commit));
        line(lines, "header", header);
        for (LocalFile file : small) {
            file.requireUnchanged();
            line(
                    lines,
                    "file",
                    HubHttp.JSON
                            .createObjectNode()
                            .put("content", Base64.getEncoder().encodeToString(file.content()))
                            .put("path", file.path())
                            .put("encoding", "base64"));
        }
        for (LocalFile file : state.files(Need.STORED)) {
            line(
                    lines,
                    "lfsFile",
                    HubHttp.JSON
                            .createObjectNode()
                            .put("path", file.path())
                            .put("algo", "sha256")
                            .put("oid", file.sha256())
                            .put("size", file.bytes()));
        }
        for (String path : state.toDelete()) {
            line(lines, "deletedFile", HubHttp.JSON.createObjectNode().put("path", path));
        }
        return lines.toString();
    }

    private static void line(StringBuilder lines, String key, ObjectNode value) {
        ObjectNode line = HubHttp.JSON.createObjectNode().put("key", key);
        line.set("value", value);
        lines.append(line).append('\n');
    }
}
