package nibble.datasets.evaluation;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import nibble.datasets.BadDatasetException;
import nibble.datasets.Utf8File;
import nibble.files.Reasons;

/** Reads rows of files by their extension, several files one after the other. */
final class RowFiles {
    static final List<String> EXTENSIONS = List.of(".jsonl", ".json", ".csv", ".parquet");

    /** WinoGrande's train part has 6 MB, HellaSwag's 47 MB. */
    private static final long MAX_BYTES = 512L << 20;

    private RowFiles() {}

    static boolean readable(Path file) {
        return EXTENSIONS.stream()
                .anyMatch(extension -> String.valueOf(file.getFileName()).endsWith(extension));
    }

    /** @throws BadDatasetException if a file cannot be read, is damaged or has no rows */
    static SourceRows read(List<Path> files) {
        List<SourceRows.Row> rows = new ArrayList<>();
        StringBuilder digests = new StringBuilder();
        for (Path file : files) {
            String name = String.valueOf(file.getFileName());
            if (name.endsWith(".parquet")) {
                rows.addAll(ParquetRows.of(file));
                digests.append(sha256(file));
                continue;
            }
            Utf8File text = Utf8File.read(file, MAX_BYTES);
            rows.addAll(
                    name.endsWith(".csv")
                            ? CsvRows.of(file.toString(), text.text())
                            : JsonRows.of(file.toString(), text.text()));
            digests.append(text.sha256());
        }
        String digest = files.size() == 1
                ? digests.toString()
                : Utf8File.sha256(digests.toString().getBytes(StandardCharsets.US_ASCII));
        return new SourceRows(files.getFirst().toString(), digest, rows);
    }

    private static String sha256(Path file) {
        try {
            return Utf8File.sha256(Files.readAllBytes(file));
        } catch (IOException e) {
            throw new BadDatasetException(file + ": cannot be read: " + Reasons.of(e), e);
        }
    }
}
