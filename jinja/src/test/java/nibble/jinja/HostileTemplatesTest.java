package nibble.jinja;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Map;
import java.util.Random;
import nibble.jinja.syntax.JinjaException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A template comes with a checkpoint and is as hostile: it ends soon, with this package's own exception. */
class HostileTemplatesTest {
    private static final Map<String, Object> VALUES = Map.of(
            "messages",
            List.of(Map.of("role", "user", "content", "Hi {{ 7 * 7 }}")),
            "s",
            "text",
            "n",
            3,
            "d",
            Map.of("a", 1));

    private static final List<String> PIECES = List.of(
            "{{ ",
            " }}",
            "{% ",
            " %}",
            "{%- ",
            "-%}",
            "for x in ",
            "if ",
            "else",
            "endfor",
            "endif",
            "set x = ",
            "set ns.x = ",
            "macro m(a)",
            "endmacro",
            "m(m)",
            "m(1)",
            "loop(x)",
            "recursive",
            "range(99999)",
            "messages",
            "s",
            "n",
            "d",
            "x",
            "'a'",
            "1e308",
            "99999999",
            " * ",
            " ** ",
            " ~ ",
            " + ",
            " % ",
            "|",
            "map('m')",
            "join(s)",
            "tojson(indent=99999)",
            "center(9999999)",
            "batch(3)",
            "list",
            "sort",
            "replace('', s)",
            "indent(999999)",
            "'%9999999d'",
            "'{:99999999}'.format(1)",
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            ".",
            ":",
            ",",
            "::-1",
            "not ",
            "is ",
            "in ",
            "namespace()",
            "cycler(1)",
            "raw",
            "endraw",
            "{#",
            "#}",
            "call m()",
            "endcall",
            "filter upper",
            "endfilter",
            "\"",
            "'",
            "\\",
            "\n",
            "\u0000",
            "🙂",
            "__class__",
            "generation",
            "endgeneration");

    private static void render(String source) {
        Template.chat(source).render(VALUES, ZonedDateTime::now);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
                "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor"
                        + " %}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{"
                        + " ns.x }}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{"
                        + " ns.x == ns.x + [] }}{{ ns.x }}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{"
                        + " ns.x|tojson }}",
                "{{ 9 ** 9 ** 9 ** 9 ** 9 }}",
                "{{ 10 ** 5000 }}",
                "{{ 'x' * 99999999999 }}",
                "{{ [0] * 99999999999 }}",
                "{{ 's'.center(999999999) }}",
                "{{ '%999999999d' % 1 }}",
                "{{ '{:>999999999}'.format(1) }}",
                "{{ ('a' * 1000000).replace('', 'b' * 1000000) }}",
                "{{ (range(100000)|list|string * 50).split(',')|join('x' * 100000) }}",
                "{{ range(100000)|batch(1, 2)|map('list')|list|tojson(indent=100000) }}",
                "{% macro m(a) %}{{ m(a) }}{% endmacro %}{{ m(1) }}",
                "{% macro m(a) %}{{ a(a) }}{% endmacro %}{{ m(m) }}",
                "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
                "{% macro m() %}{{ caller() }}{% endmacro %}{% macro r() %}{% call m() %}{{ r() }}{% endcall %}{%"
                        + " endmacro %}{{ r() }}",
                "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x.x.x.y.z }}",
                "{{ messages.__class__.__base__.__subclasses__() }}",
                "{{ messages.getClass() }}",
                "{{ s.getBytes() }}",
                "{{ namespace.__init__.__globals__ }}",
                "{{ '{0.__class__.__base__}'.format(s).x.y }}",
                "{{ range.__self__.x }}",
                "{{ cycler.next.__globals__.os }}",
                "{{ s|attr('__class__')|attr('__base__') }}{{ s['__class__'].x }}",
                "{{ messages|map(attribute='__class__.__base__')|list }}{{ undefined_one.x }}",
            })
    void what_would_not_end_or_leave_the_sandbox_ends_with_our_exception(String source) {
        long start = System.nanoTime();
        assertThatThrownBy(() -> render(source)).isInstanceOf(JinjaException.class);
        assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(60));
    }

    @Test
    void nesting_of_any_depth_ends_with_our_exception() {
        for (String open : List.of(
                "(", "[", "{1:", "not ", "-", "x if ", "x[", "f(", "'a'~(", "{% if x %}", "{% for x in y %}", "x|f(")) {
            String source = open.startsWith("{%") ? open.repeat(100_000) : "{{ " + open.repeat(100_000);
            assertThatThrownBy(() -> render(source)).as(open).isInstanceOf(JinjaException.class);
        }
        for (String chain : List.of("+1", ".a", "|list", " or 1", "**1", " if 1", "()", "[0]", " is defined")) {
            assertThatThrownBy(() -> render("{{ 1" + chain.repeat(1_000_000) + " }}"))
                    .as(chain)
                    .isInstanceOf(JinjaException.class);
        }
    }

    @Test
    void texts_are_data_and_never_templates() {
        String source = "{{ messages[0].content }}{% set t = '{{ 1 + 1 }}' %}{{ t }}{{ t|upper }}";
        assertThat(Template.chat(source).render(VALUES, ZonedDateTime::now))
                .isEqualTo("Hi {{ 7 * 7 }}{{ 1 + 1 }}{{ 1 + 1 }}");
    }

    @Test
    void random_templates_end_with_a_text_or_our_exception() {
        Random random = new Random(20261125);
        long end = System.nanoTime()
                + Duration.ofSeconds(Long.getLong("nibble.fuzz.seconds", 3)).toNanos();
        for (int i = 0; System.nanoTime() < end; i++) {
            StringBuilder source = new StringBuilder();
            for (int j = random.nextInt(40); j >= 0; j--) {
                source.append(PIECES.get(random.nextInt(PIECES.size())));
            }
            try {
                render(source.toString());
            } catch (JinjaException e) {
                assertThat(e).as(source.toString()).hasMessageNotContaining("Exception");
            } catch (Throwable e) {
                throw new AssertionError("template " + i + ": " + source, e);
            }
        }
    }
}
