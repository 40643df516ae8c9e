package nibble.hub;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import nibble.hub.PublishRequest.How;
import nibble.hub.PublishRequest.Leftovers;
import nibble.hub.PublishResult.Need;
import nibble.hub.client.HubApi;
import nibble.hub.client.HubApi.Preupload;
import nibble.hub.client.LocalFile;

/**
 * What a branch holds at one commit, against what it shall hold.
 *
 * @param head commit that was looked at; empty if there is no branch yet
 * @param needs what each local file needs
 * @param leftovers weight files of the branch that the folder does not have
 * @param delete whether these are to be deleted
 */
record BranchState(Optional<String> head, SequencedMap<LocalFile, Need> needs, List<String> leftovers, boolean delete) {

    /** Asks the hub. */
    static BranchState of(HubApi api, PublishRequest request, List<LocalFile> files) {
        String branch = request.branch();
        // The head goes first: a commit that comes between makes ours fail rather than undo it.
        Optional<String> head = api.head(branch);
        Map<String, Preupload> remote = api.preupload(branch, files, request.how() == How.PULL_REQUEST);
        SequencedMap<LocalFile, Need> needs = new LinkedHashMap<>();
        Set<String> names = new HashSet<>();
        for (LocalFile file : files) {
            Preupload answer = remote.get(file.path());
            names.add(file.path());
            needs.put(file, answer == null ? Need.IGNORED : need(file, answer));
        }
        List<String> leftovers = new ArrayList<>();
        for (HubApi.RemoteFile file : api.tree(branch)) {
            if (isWeights(file.path()) && !names.contains(file.path())) {
                leftovers.add(file.path());
            }
        }
        leftovers.sort(null);
        return new BranchState(head, needs, leftovers, request.leftovers() == Leftovers.DELETE);
    }

    /**
     * A branch that is yet to be made: everything is missing. How a hub would take a file is not known; large ones as
     * objects.
     */
    static BranchState unmade(List<LocalFile> files) {
        SequencedMap<LocalFile, Need> needs = new LinkedHashMap<>();
        files.forEach(file -> needs.put(file, isWeights(file.path()) ? Need.STORED : Need.IN_COMMIT));
        return new BranchState(Optional.empty(), needs, List.of(), false);
    }

    private static Need need(LocalFile file, Preupload remote) {
        if (remote.ignored()) {
            return Need.IGNORED;
        }
        if (file.sameAs(remote)) {
            return Need.UNCHANGED;
        }
        // An object store has no empty objects.
        return remote.lfs() && file.bytes() > 0 ? Need.STORED : Need.IN_COMMIT;
    }

    /** Only at the top: loaders ignore files in folders. */
    private static boolean isWeights(String path) {
        return !path.contains("/")
                && (path.endsWith(".safetensors") || path.endsWith(".safetensors.index.json") || path.endsWith(".bin"));
    }

    List<LocalFile> files(Need need) {
        return needs.entrySet().stream()
                .filter(entry -> entry.getValue() == need)
                .map(Map.Entry::getKey)
                .toList();
    }

    List<String> toDelete() {
        return delete ? leftovers : List.of();
    }

    /** Whether the branch holds what it shall. */
    boolean complete() {
        return files(Need.STORED).isEmpty()
                && files(Need.IN_COMMIT).isEmpty()
                && toDelete().isEmpty();
    }
}
