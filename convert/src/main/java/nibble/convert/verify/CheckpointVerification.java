package nibble.convert.verify;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Checksums;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.FileDigest;
import nibble.checkpoint.source.Finding;
import org.jspecify.annotations.Nullable;

/**
 * Makes every check a loader would make of a checkpoint, before anyone else makes it.
 *
 * @param findings what is wrong, errors first; empty if nothing
 * @param files every file with its SHA-256, sorted by path
 * @param tensorParallel over how many devices the quantized linears can be split; empty if they are not quantized
 * @param source the comparison with the model it was made from, if one was given and both could be read
 */
public record CheckpointVerification(
        List<Finding> findings,
        List<FileDigest> files,
        List<TensorParallelSplit> tensorParallel,
        Optional<LayerComparison> source) {

    public CheckpointVerification {
        findings = List.copyOf(findings);
        files = List.copyOf(files);
        tensorParallel = List.copyOf(tensorParallel);
    }

    /**
     * Verifies a folder or a GGUF file; damage ends in findings, not in an exception. A folder's GGUF models are each
     * verified, and so is the checkpoint beside them, if it has one.
     *
     * @param source folder of the fp16 model that it was made from; one layer is compared with it
     * @param threads files hashed at a time
     * @param progress told the bytes hashed since it was last called; from several threads
     * @throws BadCheckpointException if there is no such folder or file or the source cannot be opened
     */
    public static CheckpointVerification of(Path path, Optional<Path> source, int threads, LongConsumer progress) {
        List<Finding> findings = Collections.synchronizedList(new ArrayList<>());
        Set<String> said = new HashSet<>();
        // What several checks stumble over, as a file that cannot be read, is one fault.
        Consumer<Finding> report = finding -> {
            if (said.add(finding.message())) {
                findings.add(finding);
            }
        };
        Consumer<BadCheckpointException> unreadable = refused -> report.accept(Finding.of("files", refused));
        VerifiedModel model = VerifiedModel.of(path, unreadable);
        Found found = new Found();
        SortedMap<String, Path> files = new TreeMap<>(model.files());
        for (Path gguf : model.gguf()) {
            for (Path part : GgufChecks.run(gguf, report)) {
                files.putIfAbsent(model.name(part), part);
            }
            compareGguf(gguf, source, findings, found);
        }
        if (model.hasCheckpoint()) {
            CheckpointChecks.run(path, report);
            checkpoint(path, source, findings, found);
        }
        List<FileDigest> digests = FileDigest.of(files, threads, progress, unreadable);
        if (model.isFolder()) {
            Checksums.check(path, digests, report);
        }
        List<Finding> ordered = new ArrayList<>(findings);
        ordered.sort(Comparator.comparing(Finding::severity));
        return new CheckpointVerification(ordered, digests, found.splits, Optional.ofNullable(found.comparison));
    }

    /** What is found beside findings. */
    private static final class Found {
        private List<TensorParallelSplit> splits = List.of();
        private @Nullable LayerComparison comparison;
    }

    private static void checkpoint(Path folder, Optional<Path> source, List<Finding> findings, Found found) {
        if (findings.stream()
                .anyMatch(f -> f.check().equals("tensors") || f.check().equals("shards"))) {
            return;
        }
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            NumberChecks.run(checkpoint, findings::add);
            found.splits = TensorParallelSplit.of(checkpoint.config(), findings::add);
            if (source.isPresent()) {
                found.comparison = compare(checkpoint, source.get(), findings);
            }
        } catch (BadCheckpointException e) {
            Finding refused = Finding.of("tensors", e);
            if (findings.stream().noneMatch(said -> said.message().equals(refused.message()))) {
                findings.add(refused);
            }
        }
    }

    private static void compareGguf(Path file, Optional<Path> source, List<Finding> findings, Found found) {
        boolean damaged = findings.stream().anyMatch(f -> f.severity() == Finding.Severity.ERROR);
        if (source.isEmpty() || damaged) {
            return;
        }
        try (Checkpoint checkpoint = Checkpoint.open(file)) {
            found.comparison = compare(checkpoint, source.get(), findings);
        } catch (BadCheckpointException e) {
            findings.add(Finding.of("source", e));
        }
    }

    private static LayerComparison compare(Checkpoint checkpoint, Path folder, List<Finding> findings) {
        try (Checkpoint source = Checkpoint.open(folder)) {
            LayerComparison comparison =
                    LayerComparison.of(checkpoint, source, checkpoint.config().layers() / 2);
            comparison.check(findings::add);
            return comparison;
        }
    }

    public long errors() {
        return findings.stream()
                .filter(f -> f.severity() == Finding.Severity.ERROR)
                .count();
    }

    public long warnings() {
        return findings.size() - errors();
    }
}
