package nibble.cluster.convert;

import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.cluster.shared.SharedFolder;
import nibble.cluster.spark.ClusterException;
import nibble.cluster.spark.ClusterTask;
import nibble.cluster.spark.TaskPlace;
import nibble.convert.ConversionOptions;
import nibble.convert.ConversionShare;
import nibble.convert.ItemStream;
import nibble.files.output.StopSignal;

/**
 * Makes a range of a conversion's items and leaves them in the shared folder.
 *
 * @param maxShardBytes of the whole conversion
 * @param files what the driver found of the model's files
 */
record PartTask(ConversionRequest request, long maxShardBytes, SharedFolder shared, Map<String, String> files)
        implements ClusterTask<PartTask.Range, Integer> {
    /** A range of items. */
    record Range(int from, int to) implements Serializable {
        String file() {
            return "part-" + from + "-" + to;
        }
    }

    @Override
    public Integer run(Range range, TaskPlace task) {
        if (shared.has(range.file())) {
            return range.from();
        }
        try (Checkpoint source = Checkpoint.open(Path.of(request.model()))) {
            if (!Fingerprint.of(Map.of(), source).values().equals(files)) {
                throw new ClusterException(
                        request.model() + " has other files here than where the command runs; copy them again");
            }
            // A conversion wants a folder that is there, and writes nothing into it for a share.
            Path empty = Files.createTempDirectory("nibble-part-");
            try {
                request.run(
                        source,
                        new ConversionOptions(
                                empty,
                                maxShardBytes,
                                task.threads(),
                                false,
                                new StopSignal(),
                                _ -> {},
                                _ -> {},
                                new ConversionShare.Part(items -> shared.write(
                                        range.file(),
                                        task.attempt(),
                                        out -> ItemStream.write(items.subList(range.from(), range.to()), out)))));
            } finally {
                Files.deleteIfExists(empty);
            }
            return range.from();
        } catch (IOException e) {
            throw new UncheckedIOException("a temporary folder cannot be made or removed", e);
        }
    }
}
