package nibble.cli.prompts;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Collectors;
import nibble.cli.option.OutputFile;
import nibble.datasets.BadDatasetException;
import nibble.files.Reasons;
import nibble.files.output.DurableLines;

/**
 * Collects the answers to a file of prompts. Each is on the disk, in {@code OUT.unfinished}, as soon as it is made; the
 * output itself appears whole, in the order of the prompts, after the last one.
 */
public final class PromptAnswers implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static final String REQUEST = "request";

    private final Path output;
    private final DurableLines lines;
    private final TreeMap<Integer, ObjectNode> answers = new TreeMap<>();

    private PromptAnswers(Path output, DurableLines lines) {
        this.output = output;
        this.lines = lines;
    }

    /** Returns the file that holds the answers of a run that did not end. */
    public static Path unfinished(Path output) {
        return output.resolveSibling(output.getFileName() + ".unfinished");
    }

    /**
     * Opens the answers of a run, or of one that did not end.
     *
     * @param requests what each answer is made from, a digest a prompt
     * @throws BadDatasetException if answers are there to other prompts, or from other options, or another run writes
     *     them
     */
    public static PromptAnswers open(Path output, List<String> requests) {
        Path file = unfinished(output);
        DurableLines lines;
        try {
            lines = DurableLines.claim(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be read: " + Reasons.of(e), e);
        }
        if (lines == null) {
            throw new BadDatasetException(file + ": another run is writing it; wait for it or give another file");
        }
        PromptAnswers answers = new PromptAnswers(output, lines);
        boolean whole = false;
        try {
            int number = 0;
            for (String line : lines.found()) {
                answers.take(file + ": line " + ++number, line, requests);
            }
            whole = true;
            return answers;
        } finally {
            if (!whole) {
                answers.close();
            }
        }
    }

    private void take(String where, String line, List<String> requests) {
        JsonNode found;
        try {
            found = JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new BadDatasetException(where + ": no answer of this program: " + Reasons.of(e), e);
        }
        int prompt = found.path("index").asInt(-1);
        if (!(found instanceof ObjectNode answer)
                || prompt < 0
                || prompt >= requests.size()
                || !answer.path(REQUEST).asText().equals(requests.get(prompt))) {
            throw new BadDatasetException(where + ": an answer to another prompt or from other options;"
                    + " give the same ones, or remove the file");
        }
        answers.put(prompt, answer);
    }

    /** Returns whether a prompt has its answer. */
    public boolean has(int prompt) {
        return answers.containsKey(prompt);
    }

    /** Returns the number of answers. */
    public int size() {
        return answers.size();
    }

    /**
     * Adds an answer and waits until it is on the disk.
     *
     * @param prompt number of the prompt, from 0
     * @param request digest of what it is made from
     */
    public void add(int prompt, String request, ObjectNode answer) {
        ObjectNode line = JSON.createObjectNode().put("index", prompt).put(REQUEST, request);
        line.setAll(answer);
        try {
            lines.add(List.of(JSON.writeValueAsString(line)));
        } catch (IOException e) {
            throw new UncheckedIOException(unfinished(output) + ": cannot be written: " + Reasons.of(e), e);
        }
        answers.put(prompt, line);
    }

    /** Writes the output whole and removes the unfinished file. */
    public void finish() {
        String text = answers.values().stream()
                .map(answer -> answer.deepCopy().without(REQUEST) + "\n")
                .collect(Collectors.joining());
        OutputFile.write("--json ", output, text);
        close();
        try {
            Files.deleteIfExists(unfinished(output));
        } catch (IOException e) {
            throw new UncheckedIOException(unfinished(output) + ": cannot be removed: " + Reasons.of(e), e);
        }
    }

    @Override
    public void close() {
        try {
            lines.close();
        } catch (IOException e) {
            throw new UncheckedIOException(unfinished(output) + ": cannot be closed: " + Reasons.of(e), e);
        }
    }
}
