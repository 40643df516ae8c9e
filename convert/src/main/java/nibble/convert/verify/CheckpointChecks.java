package nibble.convert.verify;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.RepositoryFiles;
import nibble.checkpoint.source.SourceFile;

/** Checks of a checkpoint's files that need no arithmetic; each is made although another has failed. */
final class CheckpointChecks {
    private CheckpointChecks() {}

    /**
     * Checks shards, index, config files and the files beside them, then names, shapes and types of all tensors against
     * the config.
     *
     * @param findings told each thing that is wrong
     */
    public static void run(Path folder, Consumer<Finding> findings) {
        if (!Files.isDirectory(folder)) {
            throw new BadCheckpointException(
                    folder,
                    Files.exists(folder)
                            ? "is a file; give the checkpoint's folder"
                            : "no such folder; check the path");
        }
        Found found = new Found(findings);
        List<String> names =
                List.copyOf(RepositoryFiles.list(folder, refused -> found.accept(Finding.of("files", refused)))
                        .keySet());
        contents(folder, names, found);
        WeightFileChecks.run(folder, names, found);
        SideFileChecks.run(folder, names, found);
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            checkpoint.remarks().forEach(findings);
            LoaderRules.run(checkpoint, findings);
        } catch (BadCheckpointException e) {
            // A damaged shard or index is not reported twice.
            if (!found.said(e)) {
                findings.accept(Finding.of("tensors", e));
            }
        }
    }

    /** Whether every file is what its name says, those too that are read by nobody here. */
    private static void contents(Path folder, List<String> names, Found found) {
        for (String name : names) {
            try {
                SourceFile.requireCarried(folder.resolve(name));
            } catch (BadCheckpointException e) {
                found.accept(Finding.of("files", e));
            }
        }
    }

    private static final class Found implements Consumer<Finding> {
        private final Consumer<Finding> next;
        private final Set<String> messages = new HashSet<>();

        Found(Consumer<Finding> next) {
            this.next = next;
        }

        @Override
        public void accept(Finding finding) {
            // What two checks stumble over is one fault.
            if (messages.add(finding.message())) {
                next.accept(finding);
            }
        }

        boolean said(BadCheckpointException e) {
            return messages.contains(String.valueOf(e.getMessage()));
        }
    }
}
