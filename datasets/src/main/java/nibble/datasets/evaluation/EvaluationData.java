package nibble.datasets.evaluation;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.datasets.evaluation.EvaluationSet.Hub;
import nibble.files.Reasons;
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
        Optional<EvaluationDocuments> own = folder.flatMap(f -> inFolder(set, f));
        if (own.isPresent()) {
            return own;
        }
        int bundled = set.bundled().orElse(0);
        if (bundled == set.published()) {
            return Optional.of(Bundled.read(set));
        }
        Optional<EvaluationDocuments> cached = hubCache.flatMap(c -> inCache(set, c));
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

    private String missing(EvaluationSet set) {
        @Nullable Hub hub = set.hub();
        String places = folder.map(f -> f.resolve(set.fileName()) + ".jsonl or .parquet, ")
                        .orElse("")
                + hubCache.map(c -> "the hub's cache at " + c).orElse("no hub cache");
        String remedy =
                hub == null ? "" : "; 'hf download --repo-type dataset " + hub.repo() + "' brings it into the cache";
        return "%s (%d documents) is not bundled and was not found in %s%s"
                .formatted(set.title(), set.published(), places, remedy);
    }

    private static Optional<EvaluationDocuments> inFolder(EvaluationSet set, Path folder) {
        if (!Files.isDirectory(folder)) {
            throw new BadDatasetException(folder + ": no such folder");
        }
        Path lines = folder.resolve(set.fileName() + ".jsonl");
        if (Files.exists(lines)) {
            Utf8File file = Utf8File.read(lines, MAX_BYTES);
            return Optional.of(new EvaluationDocuments(
                    set, lines.toString(), file.sha256(), JsonRows.documents(set, lines.toString(), file.text())));
        }
        Path parquet = folder.resolve(set.fileName() + ".parquet");
        return Files.exists(parquet) ? Optional.of(parquet(set, List.of(parquet))) : Optional.empty();
    }

    private static Optional<EvaluationDocuments> inCache(EvaluationSet set, Path cache) {
        @Nullable Hub hub = set.hub();
        if (hub == null) {
            return Optional.empty();
        }
        Path repo = cache.resolve("datasets--" + hub.repo().replace("/", "--"));
        try {
            Path ref = repo.resolve("refs").resolve("main");
            if (!Files.isRegularFile(ref)) {
                return Optional.empty();
            }
            Path snapshot =
                    repo.resolve("snapshots").resolve(Files.readString(ref).strip());
            List<Path> files = Files.isDirectory(snapshot) ? parquetFiles(snapshot, hub) : List.of();
            return files.isEmpty() ? Optional.empty() : Optional.of(parquet(set, files));
        } catch (IOException e) {
            throw new BadDatasetException(repo + ": cannot be read: " + Reasons.of(e), e);
        }
    }

    /** {@code CONFIG/SPLIT-00000-of-00001.parquet}, or {@code data/SPLIT-…} where a data set has one configuration. */
    private static List<Path> parquetFiles(Path snapshot, Hub hub) throws IOException {
        try (Stream<Path> all = Files.walk(snapshot)) {
            return all.filter(file -> {
                        String name = String.valueOf(file.getFileName());
                        Path parent = file.getParent();
                        String in = parent == null ? "" : String.valueOf(parent.getFileName());
                        return name.startsWith(hub.split() + "-")
                                && name.endsWith(".parquet")
                                && (hub.config().isEmpty() || in.equals(hub.config()));
                    })
                    .sorted()
                    .toList();
        }
    }

    private static EvaluationDocuments parquet(EvaluationSet set, List<Path> files) {
        List<EvaluationDocument> documents = new ArrayList<>();
        StringBuilder digests = new StringBuilder();
        try {
            for (Path file : files) {
                documents.addAll(ParquetRows.documents(set, file));
                digests.append(Utf8File.sha256(Files.readAllBytes(file)));
            }
        } catch (IOException e) {
            throw new BadDatasetException(files + ": cannot be read: " + Reasons.of(e), e);
        }
        String digest = files.size() == 1
                ? digests.toString()
                : Utf8File.sha256(digests.toString().getBytes(java.nio.charset.StandardCharsets.US_ASCII));
        return new EvaluationDocuments(set, files.getFirst().toString(), digest, documents);
    }
}
