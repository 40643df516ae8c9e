package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Holds the rows of one part of a data set, each as texts, whole numbers (Long), fractions (Double), truth values,
 * lists, maps, and null.
 *
 * @param source {@code bundled}, or the file they were read from
 * @param sha256 of the source's bytes (uncompressed where they are bundled), lower-case hex
 * @param columns names of the columns, in the order of the source
 * @param published how many rows the published part has, where that is known and these are only some of them
 */
public record DataRows(
        String source,
        String sha256,
        List<String> columns,
        List<Map<String, @Nullable Object>> rows,
        @Nullable Integer published) {

    /** Makes rows of JSON objects; a column that a row lacks is null there. */
    static DataRows of(String source, String sha256, List<? extends JsonNode> rows, @Nullable Integer published) {
        Set<String> columns = new LinkedHashSet<>();
        rows.forEach(row -> row.fieldNames().forEachRemaining(columns::add));
        List<Map<String, @Nullable Object>> values = new ArrayList<>();
        for (JsonNode row : rows) {
            Map<String, @Nullable Object> value = new LinkedHashMap<>();
            for (String column : columns) {
                value.put(column, value(row.path(column)));
            }
            values.add(value);
        }
        return new DataRows(source, sha256, List.copyOf(columns), values, published);
    }

    /** Returns the same with other rows, which may have other columns. */
    public DataRows with(List<Map<String, @Nullable Object>> other) {
        Set<String> names = new LinkedHashSet<>();
        other.forEach(row -> names.addAll(row.keySet()));
        return new DataRows(source, sha256, List.copyOf(names), other, published);
    }

    private static @Nullable Object value(JsonNode node) {
        if (node.isArray()) {
            List<@Nullable Object> list = new ArrayList<>();
            node.forEach(item -> list.add(value(item)));
            return list;
        }
        if (node.isObject()) {
            Map<String, @Nullable Object> map = new LinkedHashMap<>();
            node.properties().forEach(entry -> map.put(entry.getKey(), value(entry.getValue())));
            return map;
        }
        if (node.isNumber()) {
            return node.canConvertToLong() && node.isIntegralNumber() ? (Object) node.longValue() : node.doubleValue();
        }
        return node.isBoolean() ? (Object) node.booleanValue() : node.isTextual() ? node.textValue() : null;
    }
}
