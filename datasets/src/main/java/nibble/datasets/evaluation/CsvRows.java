package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import nibble.datasets.BadDatasetException;

/**
 * Rows of a CSV file (RFC 4180) whose first line names the columns. As the library {@code datasets} has it, a column of
 * whole numbers alone is of numbers, one of numbers is of fractions, and an empty field is null.
 */
final class CsvRows {
    private static final Pattern WHOLE = Pattern.compile("[+-]?\\d{1,18}");
    private static final Pattern NUMBER = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");

    private CsvRows() {}

    /** @throws BadDatasetException if a line has another number of fields than the first, or there are no rows */
    static List<SourceRows.Row> of(String where, String text) {
        List<List<String>> lines = lines(where, text);
        if (lines.size() < 2) {
            throw new BadDatasetException(where + ": no rows below the line of column names");
        }
        List<String> columns = lines.getFirst();
        List<SourceRows.Row> rows = new ArrayList<>();
        for (List<String> line : lines.subList(1, lines.size())) {
            String at = where + ": row " + rows.size();
            if (line.size() != columns.size()) {
                throw new BadDatasetException(
                        at + ": " + line.size() + " fields, expected " + columns.size() + "; quote fields with commas");
            }
            rows.add(new SourceRows.Row(at, JsonNodeFactory.instance.objectNode()));
        }
        for (int column = 0; column < columns.size(); column++) {
            int index = column;
            List<String> values = lines.subList(1, lines.size()).stream()
                    .map(l -> l.get(index))
                    .toList();
            for (int row = 0; row < values.size(); row++) {
                ((ObjectNode) rows.get(row).value()).set(columns.get(column), value(values, values.get(row)));
            }
        }
        return rows;
    }

    private static JsonNode value(List<String> column, String text) {
        JsonNodeFactory json = JsonNodeFactory.instance;
        if (text.isEmpty()) {
            return json.nullNode();
        }
        if (all(column, WHOLE)) {
            return json.numberNode(Long.parseLong(text));
        }
        return all(column, NUMBER) ? json.numberNode(Double.parseDouble(text)) : json.textNode(text);
    }

    private static boolean all(List<String> column, Pattern form) {
        return column.stream()
                .allMatch(text -> text.isEmpty() || form.matcher(text).matches());
    }

    private static List<List<String>> lines(String where, String text) {
        List<List<String>> lines = new ArrayList<>();
        List<String> line = new ArrayList<>();
        StringBuilder field = new StringBuilder();
        boolean quoted = false;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (quoted) {
                boolean closes = c == '"' && !text.startsWith("\"\"", i);
                i += c == '"' && !closes ? 1 : 0;
                quoted = !closes;
                field.append(closes ? "" : String.valueOf(c));
            } else if (c == '"' && field.isEmpty()) {
                quoted = true;
            } else if (c == ',' || c == '\n') {
                line.add(field.toString());
                field.setLength(0);
                if (c == '\n') {
                    lines.add(line);
                    line = new ArrayList<>();
                }
            } else if (c != '\r' || !text.startsWith("\n", i + 1)) {
                field.append(c);
            }
        }
        if (quoted) {
            throw new BadDatasetException(where + ": a quoted field does not end");
        }
        if (!line.isEmpty() || !field.isEmpty()) {
            line.add(field.toString());
            lines.add(line);
        }
        lines.removeIf(l -> l.size() == 1 && l.getFirst().isEmpty());
        return lines;
    }
}
