package nibble.pack;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.function.LongConsumer;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.CheckpointChecks;
import nibble.convert.Checksums;
import nibble.convert.FileDigest;
import nibble.convert.Finding;
import nibble.convert.RepositoryFiles;

/**
 * Every check a loader would make of a checkpoint, made before anyone else makes it.
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
     * Verifies a folder; damage ends in findings, not in an exception.
     *
     * @param source folder of the fp16 model that the checkpoint was made from; one layer is compared with it
     * @param threads files hashed at a time
     * @param progress told the bytes hashed since it was last called; from several threads
     * @throws BadCheckpointException if there is no such folder or the source cannot be opened
     */
    public static CheckpointVerification of(Path folder, Optional<Path> source, int threads, LongConsumer progress) {
        List<Finding> findings = Collections.synchronizedList(new ArrayList<>());
        CheckpointChecks.run(folder, findings::add);
        List<TensorParallelSplit> splits = List.of();
        Optional<LayerComparison> comparison = Optional.empty();
        if (findings.stream().noneMatch(f -> f.check().equals("tensors") || f.check().equals("shards"))) {
            try (Checkpoint checkpoint = Checkpoint.open(folder)) {
                NumberChecks.run(checkpoint, findings::add);
                splits = TensorParallelSplit.of(checkpoint.config(), findings::add);
                if (source.isPresent()) {
                    comparison = compare(checkpoint, source.get(), findings);
                }
            } catch (BadCheckpointException e) {
                Finding refused = Finding.of("tensors", e);
                if (findings.stream().noneMatch(said -> said.message().equals(refused.message()))) {
                    findings.add(refused);
                }
            }
        }
        SortedMap<String, Path> files = RepositoryFiles.list(folder);
        List<FileDigest> digests = FileDigest.of(files, threads, progress);
        Checksums.check(folder, digests, findings::add);
        List<Finding> ordered = new ArrayList<>(findings);
        ordered.sort(Comparator.comparing(Finding::severity));
        return new CheckpointVerification(ordered, digests, splits, comparison);
    }

    private static Optional<LayerComparison> compare(Checkpoint checkpoint, Path folder, List<Finding> findings) {
        if (checkpoint.config().quantization().isEmpty()) {
            return Optional.empty();
        }
        try (Checkpoint source = Checkpoint.open(folder)) {
            LayerComparison comparison =
                    LayerComparison.of(checkpoint, source, checkpoint.config().layers() / 2);
            comparison.check(findings::add);
            return Optional.of(comparison);
        }
    }

    public long errors() {
        return findings.stream().filter(f -> f.severity() == Finding.Severity.ERROR).count();
    }

    public long warnings() {
        return findings.size() - errors();
    }
}
