package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.hardwood.InputFile;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.row.PqList;
import dev.hardwood.row.PqStruct;
import dev.hardwood.row.StructAccessor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import nibble.datasets.BadDatasetException;
import nibble.datasets.SourceText;
import nibble.files.Content;
import nibble.files.Reasons;
import org.jspecify.annotations.Nullable;

/** Rows of a Parquet file. */
final class ParquetRows {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
    /** Kept here, or its level is forgotten: the reader would print which instructions it uses. */
    private static final Logger READER = Logger.getLogger("dev.hardwood");

    static {
        READER.setLevel(Level.WARNING);
    }

    private ParquetRows() {}

    /** @throws BadDatasetException if the file is damaged or has no rows */
    static List<SourceRows.Row> of(Path file) {
        SourceText.require(file, Content.PARQUET);
        List<SourceRows.Row> found = new ArrayList<>();
        try (ParquetFileReader reader = ParquetFileReader.open(InputFile.of(file));
                RowReader rows = reader.rowReader()) {
            while (rows.hasNext()) {
                rows.next();
                found.add(new SourceRows.Row(file + ": row " + found.size(), object(rows)));
            }
        } catch (IOException | RuntimeException e) {
            // The reader tells damage by exceptions of many kinds.
            throw new BadDatasetException(
                    "%s: row %d: cannot be read as Parquet: %s; download it again"
                            .formatted(file, found.size(), Reasons.of(e)),
                    e);
        }
        if (found.isEmpty()) {
            throw new BadDatasetException(file + ": no rows");
        }
        return found;
    }

    private static ObjectNode object(StructAccessor struct) {
        ObjectNode object = JSON.objectNode();
        for (int i = 0; i < struct.getFieldCount(); i++) {
            object.set(struct.getFieldName(i), struct.isNull(i) ? JSON.nullNode() : value(struct.getValue(i)));
        }
        return object;
    }

    private static JsonNode value(@Nullable Object value) {
        return switch (value) {
            case null -> JSON.nullNode();
            case PqStruct struct -> object(struct);
            case PqList list -> {
                var array = JSON.arrayNode();
                for (int i = 0; i < list.size(); i++) {
                    array.add(list.isNull(i) ? JSON.nullNode() : value(list.get(i)));
                }
                yield array;
            }
            case Integer number -> JSON.numberNode(number);
            case Long number -> JSON.numberNode(number);
            case Double number -> JSON.numberNode(number);
            case Float number -> JSON.numberNode(number);
            case Boolean bool -> JSON.booleanNode(bool);
            default -> JSON.textNode(value.toString());
        };
    }
}
