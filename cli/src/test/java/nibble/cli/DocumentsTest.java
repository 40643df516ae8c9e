package nibble.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** Checks README.md, docs/ and the help texts: plain sentences, links that resolve, commands and options that exist. */
class DocumentsTest {
    private static final Path ROOT = Path.of(System.getProperty("nibble.root"));
    private static final int MOST_WORDS = 25;

    /** Turns of phrase that a reader stumbles over, in lower case. */
    private static final List<String> FORBIDDEN = List.of(
            "what lies",
            "what decides",
            "all that decides",
            "those that",
            "as the other one",
            "to the bits of",
            "with the way of",
            "goes on with",
            "go on with",
            "as far as which",
            "refused with",
            "in the same bytes",
            "to the same bytes",
            "the same to the byte",
            "come out otherwise",
            "was to be done",
            "whatever files",
            "as it was",
            "is said",
            "are said",
            "said so",
            "warned of;",
            "all the same",
            "by turns",
            "anew");

    private static final Pattern CODE = Pattern.compile("`[^`]*`");
    private static final Pattern LINK = Pattern.compile("!?\\[([^\\]]*)]\\(([^)\\s]+)\\)");
    private static final Pattern ITEM = Pattern.compile("^([-*]|\\d+\\.) +");
    private static final Pattern COMMAND = Pattern.compile("(?:^|\\./)nibble [a-z].*");
    private static final Pattern OPTION = Pattern.compile("--[a-z][a-z0-9-]*");
    private static final Pattern POINT = Pattern.compile("<title>(.+): ([0-9,]+) bytes, perplexity ([0-9.]+)</title>");

    static List<Path> documents() throws IOException {
        try (Stream<Path> docs = Files.list(ROOT.resolve("docs"))) {
            return Stream.concat(Stream.of(ROOT.resolve("README.md")), docs)
                    .filter(file -> file.toString().endsWith(".md"))
                    .sorted()
                    .toList();
        }
    }

    /** The model card is what 'nibble card' writes; its template is not a document. */
    static List<Path> writtenDocuments() throws IOException {
        return documents().stream()
                .filter(file -> !file.endsWith("model-card-wiki-7m.md"))
                .toList();
    }

    static List<CommandSpec> commands() {
        List<CommandSpec> found = new ArrayList<>();
        collect(Nibble.commandLine(new TerminalCapture().terminal()), found);
        return found;
    }

    private static void collect(CommandLine command, List<CommandSpec> found) {
        found.add(command.getCommandSpec());
        command.getSubcommands().values().forEach(sub -> collect(sub, found));
    }

    @ParameterizedTest
    @MethodSource("writtenDocuments")
    void sentences_of_a_document_are_short_and_plain(Path document) {
        assertThat(faults(paragraphs(document))).as("%s", document).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("commands")
    void sentences_of_a_help_text_are_short_and_plain(CommandSpec command) {
        List<String> texts = new ArrayList<>(List.of(command.usageMessage().description()));
        for (OptionSpec option : command.options()) {
            texts.addAll(List.of(option.description()));
        }
        for (PositionalParamSpec parameter : command.positionalParameters()) {
            texts.addAll(List.of(parameter.description()));
        }

        assertThat(faults(texts)).as("nibble %s --help", command.name()).isEmpty();
    }

    @Test
    void the_rule_sees_a_long_sentence_and_a_forbidden_phrase() {
        assertThat(faults(List.of("A ".repeat(MOST_WORDS) + "b. Short.")))
                .singleElement()
                .asString()
                .startsWith("26 words");
        assertThat(faults(List.of("It goes\non with a run.", "`goes on with` is code.")))
                .containsExactly("\"goes on with\": It goes on with a run.");
        assertThat(faults(List.of("A ".repeat(MOST_WORDS).strip() + "."))).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("documents")
    void links_lead_to_files_and_headings_that_exist(Path document) throws IOException {
        Matcher link = LINK.matcher(read(document));
        while (link.find()) {
            String target = link.group(2);
            if (target.contains("://")) {
                continue;
            }
            int hash = target.indexOf('#');
            Path file = hash == 0
                    ? document
                    : document.resolveSibling(hash < 0 ? target : target.substring(0, hash))
                            .normalize();
            assertThat(file).as("%s links to %s", document, target).exists();
            if (hash >= 0) {
                assertThat(anchors(file)).as("%s links to %s", document, target).contains(target.substring(hash + 1));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("documents")
    void commands_in_a_document_exist_with_their_options(Path document) {
        for (String shown : shownCommands(document)) {
            assertThat(unknown(shown)).as("%s shows: %s", document, shown).isEmpty();
        }
    }

    @Test
    void readme_shows_commands_and_an_unknown_option_or_command_is_seen() {
        assertThat(shownCommands(ROOT.resolve("README.md"))).hasSizeGreaterThan(10);
        assertThat(unknown("nibble quantize MODEL OUT --groupsize 64")).containsExactly("--groupsize");
        assertThat(unknown("nibble quantise MODEL OUT")).containsExactly("quantise");
        assertThat(unknown("nibble eval perplexity MODEL --context 2048")).isEmpty();
    }

    /** docs/perplexity-picture.py draws the picture; this test sees a table that changed after it. */
    @Test
    void the_picture_shows_the_figures_of_the_tables() throws IOException {
        String tables = read(ROOT.resolve("docs/formats.md"))
                + read(ROOT.resolve("docs/benchmarks.md"))
                + read(ROOT.resolve("docs/method-best.md"));
        Matcher point = POINT.matcher(read(ROOT.resolve("docs/perplexity.svg")));
        int points = 0;
        while (point.find()) {
            points++;
            assertThat(tables).as("%s", point.group(1)).contains("| " + point.group(2) + " |");
            assertThat(tables).as("%s", point.group(1)).contains(point.group(3).replaceFirst("0+$", ""));
        }
        assertThat(points).isGreaterThan(10);
    }

    /** Returns what breaks the rule in texts, one line a sentence. */
    private static List<String> faults(List<String> texts) {
        List<String> found = new ArrayList<>();
        for (String text : texts) {
            String plain = LINK.matcher(CODE.matcher(text).replaceAll("CODE"))
                    .replaceAll("$1")
                    .replace("**", "");
            for (String sentence : plain.replaceAll("\\s+", " ").split("(?<=[.!?][)\"”]?) ")) {
                long words = Stream.of(sentence.split(" "))
                        .filter(word -> word.codePoints().anyMatch(Character::isLetterOrDigit))
                        .count();
                if (words > MOST_WORDS) {
                    found.add(words + " words: " + sentence);
                }
                for (String phrase : FORBIDDEN) {
                    if (sentence.toLowerCase(Locale.ROOT).contains(phrase)) {
                        found.add("\"" + phrase + "\": " + sentence);
                    }
                }
            }
        }
        return found;
    }

    /** Returns the paragraphs and list items of a document, without front matter, headings, tables and code. */
    private static List<String> paragraphs(Path document) {
        List<String> found = new ArrayList<>();
        StringBuilder paragraph = new StringBuilder();
        boolean code = false;
        boolean frontMatter = false;
        boolean first = true;
        for (String line : lines(document)) {
            String text = line.strip();
            if (text.equals("---") && (first || frontMatter)) {
                frontMatter = first;
            } else if (text.startsWith("```")) {
                code = !code;
            }
            first = false;
            boolean outside = code || frontMatter || text.startsWith("```") || text.equals("---");
            if (outside
                    || text.isEmpty()
                    || text.startsWith("|")
                    || text.startsWith("#")
                    || ITEM.matcher(text).find()) {
                found.add(paragraph.toString());
                paragraph.setLength(0);
            }
            if (!outside && !text.startsWith("|") && !text.startsWith("#")) {
                paragraph.append(ITEM.matcher(text).replaceFirst("")).append(' ');
            }
        }
        found.add(paragraph.toString());
        return found;
    }

    /** Returns the nibble commands in the code of a document; a line that ends with a backslash continues. */
    private static List<String> shownCommands(Path document) {
        List<String> found = new ArrayList<>();
        boolean code = false;
        String joined = "";
        for (String line : lines(document)) {
            if (line.strip().startsWith("```")) {
                code = !code;
            } else if (code) {
                joined += line.strip();
                if (joined.endsWith("\\")) {
                    joined = joined.substring(0, joined.length() - 1);
                    continue;
                }
                addCommand(joined, found);
                joined = "";
            }
        }
        Matcher span = CODE.matcher(String.join(" ", paragraphs(document)));
        while (span.find()) {
            addCommand(span.group().replace("`", ""), found);
        }
        return found;
    }

    private static void addCommand(String text, List<String> found) {
        Matcher command = COMMAND.matcher(text.strip());
        if (command.find()) {
            found.add(command.group().replace("./", ""));
        }
    }

    /** Returns the subcommands and options of a command line that do not exist. */
    private static List<String> unknown(String shown) {
        List<String> found = new ArrayList<>();
        CommandLine command = Nibble.commandLine(new TerminalCapture().terminal());
        boolean named = true;
        for (String word : shown.replaceFirst("[>|#].*", "").split("\\s+")) {
            if (word.equals("nibble")) {
                continue;
            }
            if (word.equals("dist") && shown.startsWith("nibble dist")) {
                return found; // The launcher's own.
            }
            if (command.getSubcommands().containsKey(word)) {
                command = command.getSubcommands().get(word);
            } else if (named && !command.getSubcommands().isEmpty() && word.matches("[a-z][a-z-]*")) {
                found.add(word);
                return found;
            } else {
                // A command with commands of its own may have arguments too, as eval mt-bench.
                named = false;
            }
            Matcher option = OPTION.matcher(word);
            if (option.lookingAt() && !command.getCommandSpec().optionsMap().containsKey(option.group())) {
                found.add(option.group());
            }
        }
        return found;
    }

    /** Returns the anchors of a document's headings, as the hosts of repositories make them. */
    private static List<String> anchors(Path document) {
        return lines(document).stream()
                .filter(line -> line.startsWith("#"))
                .map(line -> line.replaceFirst("^#+ ", "")
                        .toLowerCase(Locale.ROOT)
                        .replaceAll("[^\\p{L}\\p{N} _-]", "")
                        .replace(' ', '-'))
                .toList();
    }

    private static List<String> lines(Path file) {
        return read(file).lines().toList();
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
