package nibble.cli.terminal;

import java.util.ArrayList;
import java.util.List;

/**
 * Shows a table of text in aligned columns: the first column to the left, the others to the right.
 *
 * @param head column titles
 * @param rows cells, as many in each row as there are titles
 */
public record Table(List<String> head, List<List<String>> rows) {
    public Table {
        head = List.copyOf(head);
        rows = rows.stream().map(List::copyOf).toList();
        for (List<String> row : rows) {
            if (row.size() != head.size()) {
                throw new IllegalArgumentException(
                        "a row of " + row.size() + " cells under " + head.size() + " titles");
            }
        }
    }

    /** Returns the table's lines: titles, a rule, rows. */
    public List<String> lines() {
        int[] width = new int[head.size()];
        List<List<String>> all = new ArrayList<>(rows);
        all.addFirst(head);
        for (List<String> row : all) {
            for (int c = 0; c < width.length; c++) {
                width[c] = Math.max(width[c], row.get(c).length());
            }
        }
        List<String> lines = new ArrayList<>();
        for (List<String> row : all) {
            StringBuilder line = new StringBuilder();
            for (int c = 0; c < width.length; c++) {
                String padding = " ".repeat(width[c] - row.get(c).length());
                line.append(c == 0 ? row.get(c) + padding : "  " + padding + row.get(c));
            }
            lines.add(line.toString().stripTrailing());
            if (lines.size() == 1) {
                lines.add("-".repeat(line.length()));
            }
        }
        return lines;
    }
}
