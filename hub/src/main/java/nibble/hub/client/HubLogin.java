package nibble.hub.client;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.files.Reasons;

/**
 * A login made in a browser with the hub's own tools: its token expires and is exchanged for a new one, as those tools
 * do. They
 * keep it in the file {@code token}, and what renews it in {@code stored_tokens} beside it, a section a login:
 *
 * <pre>
 * [NAME]
 * hf_token = hf_oauth_…
 * refresh_token = …
 * expires_at = 1764100000
 * </pre>
 *
 * @param tokenFile the file {@code token}
 * @param clientId which program the login was given to
 */
record HubLogin(Path tokenFile, String clientId) {
    /** The program that the hub's own tools log in as. */
    static final String CLIENT_ID = "26be6b09-91c5-47da-9861-d2d2bb7a7e36";

    /** A token that holds for less is renewed: the hub's own tools take a day. */
    private static final Duration MARGIN = Duration.ofDays(1);

    private static final Pattern SECTION = Pattern.compile("\\s*\\[(.+)]\\s*");
    private static final Pattern FIELD = Pattern.compile("([A-Za-z_]+)\\s*[=:]\\s*(.*?)\\s*");

    /** What one section says; of no use without all three. */
    private record Stored(HubToken token, String refreshToken, Instant expires) {}

    /** When a token of these logins expires; empty for one that does not. */
    Optional<Instant> expiry(HubToken token) {
        return stored(token).map(Stored::expires);
    }

    private Path storedTokens() {
        return tokenFile.resolveSibling("stored_tokens");
    }

    private Optional<Stored> stored(HubToken token) {
        for (Map<String, String> section : sections(lines())) {
            String expires = section.getOrDefault("expires_at", "");
            if (section.getOrDefault("hf_token", "").equals(token.secret())
                    && section.containsKey("refresh_token")
                    && expires.matches("\\d{1,12}")) {
                return Optional.of(new Stored(
                        token,
                        section.getOrDefault("refresh_token", ""),
                        Instant.ofEpochSecond(Long.parseLong(expires))));
            }
        }
        return Optional.empty();
    }

    private List<String> lines() {
        try {
            return Files.isRegularFile(storedTokens()) ? Files.readAllLines(storedTokens()) : List.of();
        } catch (IOException e) {
            // Not to be read, not text: then no more is known of the token than the token.
            return List.of();
        }
    }

    private static List<Map<String, String>> sections(List<String> lines) {
        List<Map<String, String>> sections = new ArrayList<>();
        for (String line : lines) {
            Matcher field = FIELD.matcher(line);
            if (SECTION.matcher(line).matches()) {
                sections.add(new HashMap<>());
            } else if (!sections.isEmpty() && field.matches()) {
                sections.getLast().put(field.group(1).toLowerCase(Locale.ROOT), field.group(2));
            }
        }
        return sections;
    }

    /**
     * The token to use instead, if this one expires within a day: another process's, or a new one of the hub's, which
     * is kept where the hub's tools find it.
     *
     * @throws HubException if the hub gives none
     */
    Optional<HubToken> renewed(HubToken token, HubHttp http) {
        try {
            Optional<Stored> stored = stored(token);
            if (stored.isEmpty()) {
                return replaced(token);
            }
            if (stored.get().expires().minus(MARGIN).isAfter(Instant.now())) {
                return Optional.empty();
            }
            HubToken[] found = new HubToken[1];
            // The hub may take a refresh token once only: two processes must not both use it.
            FileLocks.locked(
                    tokenFile.resolveSibling("stored_tokens.lock"), () -> found[0] = exchange(stored.get(), http));
            return Optional.of(found[0]);
        } catch (IOException e) {
            throw new HubException(
                    "the new token cannot be kept in " + storedTokens() + ": " + Reasons.of(e), -1, "", e);
        }
    }

    /** What another process has put in the place of a token since it was read. */
    private Optional<HubToken> replaced(HubToken token) throws IOException {
        String now =
                Files.isRegularFile(tokenFile) ? Files.readString(tokenFile).strip() : "";
        return now.isEmpty() || now.equals(token.secret()) ? Optional.empty() : Optional.of(HubToken.of(now));
    }

    private HubToken exchange(Stored old, HubHttp http) throws IOException {
        Optional<HubToken> others = stored(old.token()).isEmpty() ? replaced(old.token()) : Optional.empty();
        if (others.isPresent()) {
            return others.get();
        }
        String form =
                "grant_type=refresh_token&refresh_token=" + form(old.refreshToken()) + "&client_id=" + form(clientId);
        JsonNode answer = http.json(HubCall.post(http.uri("/oauth/token"), "application/x-www-form-urlencoded", form)
                .withoutToken());
        String made = answer.path("access_token").asText("");
        if (made.isEmpty()) {
            throw new HubException("/oauth/token: the answer has no \"access_token\"");
        }
        HubToken token = HubToken.of(made);
        String refresh = answer.path("refresh_token").asText("");
        keep(
                old,
                token,
                refresh.isEmpty() ? old.refreshToken() : refresh,
                answer.path("expires_in").asLong(-1));
        return token;
    }

    private static String form(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8);
    }

    /** Changes the lines of one section and leaves the others as they are. */
    private void keep(Stored old, HubToken token, String refreshToken, long seconds) throws IOException {
        List<String> lines = lines();
        List<String> changed = new ArrayList<>();
        int section = -1;
        List<Map<String, String>> sections = sections(lines);
        for (String line : lines) {
            section += SECTION.matcher(line).matches() ? 1 : 0;
            boolean own = section >= 0
                    && old.token().secret().equals(sections.get(section).get("hf_token"));
            Matcher field = FIELD.matcher(line);
            String key = own && field.matches() ? field.group(1).toLowerCase(Locale.ROOT) : "";
            switch (key) {
                case "hf_token" -> changed.add("hf_token = " + token.secret());
                case "refresh_token" -> changed.add("refresh_token = " + refreshToken);
                case "expires_at" -> {
                    if (seconds >= 0) {
                        changed.add("expires_at = "
                                + Instant.now().plusSeconds(seconds).getEpochSecond());
                    }
                }
                default -> changed.add(line);
            }
        }
        writeSecret(storedTokens(), String.join("\n", changed) + "\n");
        if (Files.isRegularFile(tokenFile)
                && Files.readString(tokenFile).strip().equals(old.token().secret())) {
            writeSecret(tokenFile, token.secret());
        }
    }

    private static void writeSecret(Path file, String text) throws IOException {
        Path temporary = file.resolveSibling("." + file.getFileName() + "." + UUID.randomUUID());
        boolean posix = Files.getFileStore(
                        Objects.requireNonNull(file.toAbsolutePath().getParent()))
                .supportsFileAttributeView("posix");
        FileAttribute<?>[] ownerOnly = posix
                ? new FileAttribute<?>[] {
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))
                }
                : new FileAttribute<?>[0];
        try {
            Files.createFile(temporary, ownerOnly);
            Files.writeString(temporary, text);
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }
}
