package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvParser;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;

/**
 * Rows of a CSV file (RFC 4180) whose first line names the columns. A column has the type that the library
 * {@code datasets} gives it (4.4, which asks pandas): truth values, whole numbers, fractions, else text. Some words
 * stand for a missing value, and a column of whole numbers that lacks one is of fractions.
 */
final class CsvRows {
    private static final CsvMapper CSV = CsvMapper.builder()
            .enable(CsvParser.Feature.WRAP_AS_ARRAY)
            .enable(CsvParser.Feature.SKIP_EMPTY_LINES)
            .build();

    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d{1,18}");
    private static final Pattern NUMBER = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");
    private static final Pattern TRUTH = Pattern.compile("True|TRUE|true|False|FALSE|false");
    /** What pandas takes for a missing value. */
    private static final Set<String> MISSING = Set.of(
            "",
            "#N/A",
            "#N/A N/A",
            "#NA",
            "-1.#IND",
            "-1.#QNAN",
            "-NaN",
            "-nan",
            "1.#IND",
            "1.#QNAN",
            "<NA>",
            "N/A",
            "NA",
            "NULL",
            "NaN",
            "None",
            "n/a",
            "nan",
            "null");

    private CsvRows() {}

    /** @throws BadDatasetException if it is no CSV, a line has more fields than the first, or there are no rows */
    static List<SourceRows.Row> of(String where, String text) {
        List<String[]> lines;
        try (var values = CSV.readerFor(String[].class).<String[]>readValues(text)) {
            lines = values.readAll();
        } catch (IOException e) {
            throw new BadDatasetException(where + ": not a CSV file: " + e.getMessage());
        }
        if (lines.size() < 2) {
            throw new BadDatasetException(where + ": no rows below the line of column names");
        }
        String[] columns = lines.getFirst();
        List<SourceRows.Row> rows = new ArrayList<>();
        for (String[] line : lines.subList(1, lines.size())) {
            String at = where + ": row " + rows.size();
            if (line.length > columns.length) {
                throw new BadDatasetException(
                        at + ": " + line.length + " fields, expected " + columns.length + "; quote fields with commas");
            }
            rows.add(new SourceRows.Row(at, JsonNodeFactory.instance.objectNode()));
        }
        for (int column = 0; column < columns.length; column++) {
            int index = column;
            List<String> values = lines.subList(1, lines.size()).stream()
                    .map(line -> index < line.length ? line[index] : "")
                    .toList();
            Function<String, JsonNode> type = type(values);
            for (int row = 0; row < values.size(); row++) {
                String value = values.get(row);
                ((ObjectNode) rows.get(row).value())
                        .set(
                                columns[column],
                                MISSING.contains(value) ? JsonNodeFactory.instance.nullNode() : type.apply(value));
            }
        }
        return rows;
    }

    private static Function<String, JsonNode> type(List<String> column) {
        JsonNodeFactory json = JsonNodeFactory.instance;
        List<String> present =
                column.stream().filter(Predicate.not(MISSING::contains)).toList();
        if (all(present, TRUTH)) {
            return text -> json.booleanNode(Boolean.parseBoolean(text));
        }
        if (all(present, WHOLE) && present.size() == column.size()) {
            return text -> json.numberNode(Long.parseLong(text));
        }
        return all(present, NUMBER) ? text -> json.numberNode(Double.parseDouble(text)) : json::textNode;
    }

    private static boolean all(List<String> column, Pattern form) {
        return column.stream().allMatch(text -> form.matcher(text).matches());
    }
}
