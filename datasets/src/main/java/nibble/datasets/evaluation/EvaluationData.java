package nibble.datasets.evaluation;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import nibble.datasets.BadDatasetException;
import nibble.datasets.evaluation.EvaluationSet.Hub;
import org.jspecify.annotations.Nullable;

/**
 * Says where the documents of benchmarks come from. For each set the first that has it: the user's folder; the bundled
 * data if it is the whole set; the hub's cache; the bundled part of the set.
 *
 * @param folder of files named {@code hellaswag.train.jsonl} or {@code .parquet}, see {@link EvaluationSet#fileName()}
 * @param hubCache the folder that the hub's tools share, in which data sets are {@code datasets--OWNER--NAME}
 */
public record EvaluationData(Optional<Path> folder, Optional<Path> hubCache) {
    /** WinoGrande's train part has 6 MB, HellaSwag's 47 MB. */
    private static final long MAX_BYTES = 512L << 20;

    /** Returns the bundled documents alone. */
    public static EvaluationData bundled() {
        return new EvaluationData(Optional.empty(), Optional.empty());
    }

    /**
     * Returns the documents, if any place has them.
     *
     * @throws BadDatasetException if a file is damaged or is not this set
     */
    public Optional<EvaluationDocuments> find(EvaluationSet set) {
        return rows(set).map(rows -> rows.documents(set));
    }

    Optional<SourceRows> rows(EvaluationSet set) {
        Optional<SourceRows> own = folder.flatMap(f -> inFolder(set.fileName(), f));
        if (own.isPresent()) {
            return own;
        }
        int bundled = set.bundled().orElse(0);
        if (bundled == set.published()) {
            return Optional.of(Bundled.read(set));
        }
        Optional<SourceRows> cached = hubCache.flatMap(c -> inCache(set, c));
        return cached.isPresent() || bundled == 0 ? cached : Optional.of(Bundled.read(set));
    }

    /**
     * Returns the documents.
     *
     * @throws BadDatasetException if no place has them; the message says where they were looked for and how to get them
     */
    public EvaluationDocuments require(EvaluationSet set) {
        return find(set).orElseThrow(() -> new BadDatasetException(missing(set)));
    }

    String missing(EvaluationSet set) {
        @Nullable Hub hub = set.hub();
        String places = folder.map(f -> f.resolve(set.fileName()) + ".jsonl or .parquet, ")
                        .orElse("")
                + hubCache.map(c -> "the hub's cache at " + c).orElse("no hub cache");
        String remedy =
                hub == null ? "" : "; 'hf download --repo-type dataset " + hub.repo() + "' brings it into the cache";
        return "%s (%d documents) is not bundled and was not found in %s%s"
                .formatted(set.title(), set.published(), places, remedy);
    }

    /** Rows of {@code NAME.jsonl}, {@code .json}, {@code .csv} or {@code .parquet} in a folder. */
    static Optional<SourceRows> inFolder(String name, Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new BadDatasetException(folder + ": no such folder");
        }
        return RowFiles.EXTENSIONS.stream()
                .map(extension -> folder.resolve(name + extension))
                .filter(Files::exists)
                .findFirst()
                .map(file -> RowFiles.read(List.of(file)));
    }

    private static Optional<SourceRows> inCache(EvaluationSet set, Path cache) {
        @Nullable Hub hub = set.hub();
        if (hub == null) {
            return Optional.empty();
        }
        return HubDataset.in(cache, hub.repo()).flatMap(found -> found.rows(hub.config(), hub.split()));
    }
}
