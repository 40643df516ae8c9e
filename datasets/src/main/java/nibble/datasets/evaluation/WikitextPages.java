package nibble.datasets.evaluation;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import java.util.ArrayList;
import java.util.List;
import nibble.datasets.PythonText;

/**
 * The raw wikitext-2 file cut into its articles, as EleutherAI's {@code wikitext_document_level} has them: a new one
 * begins at each line {@code = Title =}. The test part has 62: two lines of articles look like titles.
 */
final class WikitextPages {
    private WikitextPages() {}

    static List<SourceRows.Row> of(String raw) {
        List<SourceRows.Row> pages = new ArrayList<>();
        List<String> page = new ArrayList<>();
        for (String line : raw.split("\n", -1)) {
            if (isTitle(line)) {
                add(pages, page);
                page.clear();
            }
            page.add(line);
        }
        add(pages, page);
        return pages;
    }

    private static boolean isTitle(String line) {
        String plain = PythonText.strip(line.replace("= = =", "===").replace("= =", "=="));
        return plain.startsWith("= ") && plain.endsWith(" =");
    }

    private static void add(List<SourceRows.Row> pages, List<String> lines) {
        String page = String.join("\n", lines);
        if (!page.isBlank()) {
            pages.add(new SourceRows.Row(
                    "page " + pages.size(),
                    JsonNodeFactory.instance.objectNode().put("page", page)));
        }
    }
}
