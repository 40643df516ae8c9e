package nibble.files;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/** Finds names that are most like a wrong one, for messages. */
public final class NearNames {
    private static final int NAMES_TO_SUGGEST = 3;

    private NearNames() {}

    /** Returns the names most like {@code wrong}, nearest first. */
    public static List<String> of(String wrong, Collection<String> names) {
        return names.stream()
                .sorted(Comparator.comparingInt(name -> edits(wrong, name)))
                .limit(NAMES_TO_SUGGEST)
                .toList();
    }

    /** Letters to insert, delete or replace to make one of the other (Levenshtein). */
    private static int edits(String a, String b) {
        int[] row = new int[b.length() + 1];
        for (int j = 0; j < row.length; j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j < row.length; j++) {
                int replaced = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }
}
