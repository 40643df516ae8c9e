package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The rows of a file as they stand in it.
 *
 * @param source {@code bundled}, or the file
 * @param sha256 of the source's bytes (uncompressed where they are bundled), lower-case hex
 */
record SourceRows(String source, String sha256, List<Row> rows) {
    /** A row, and its file and line for messages. */
    record Row(String at, JsonNode value) {}

    EvaluationDocuments documents(EvaluationSet set) {
        return new EvaluationDocuments(
                set,
                source,
                sha256,
                rows.stream()
                        .map(row -> DocumentFields.document(set.rows(), new DocumentFields(row.value, row.at)))
                        .toList());
    }

    /**
     * The rows in the columns that the hub's data set has.
     *
     * @throws nibble.datasets.BadDatasetException if a row is no document of the set
     */
    DataRows ofHub(EvaluationSet set) {
        rows.forEach(row -> DocumentFields.document(set.rows(), new DocumentFields(row.value, row.at)));
        return DataRows.of(
                source,
                sha256,
                rows.stream().map(row -> HubRows.of(set.rows(), row.value)).toList(),
                rows.size() == set.published() ? null : set.published());
    }

    DataRows plain(@Nullable Integer published) {
        return DataRows.of(source, sha256, rows.stream().map(Row::value).toList(), published);
    }
}
