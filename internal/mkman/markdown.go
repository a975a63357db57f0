package main

import (
	"fmt"
	"regexp"
	"strings"
)

// level says what a "##" of Markdown becomes.
type level int

const (
	sections level = iota
	subsections
)

// markdown appends a document of ours, or a help text, which is as plain: headings, paragraphs, lists, tables, code; and lists of terms
// indented by two spaces.
func (p *page) markdown(text string, top level) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for len(lines) > 0 {
		n := 1
		switch line := lines[0]; {
		case line == "":
			p.b.WriteString(".PP\n")
		case strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "<!--"):
		case strings.HasPrefix(line, "## ") && top == sections:
			p.section(strings.ToUpper(line[3:]))
		case strings.HasPrefix(line, "##"):
			fmt.Fprintf(&p.b, ".SS \"%s\"\n", escape(strings.TrimLeft(line, "# ")))
		case strings.HasPrefix(line, "```"):
			n = 1 + run(lines[1:], func(l string) bool { return !strings.HasPrefix(l, "```") })
			p.block(lines[1:n])
			n++
		case strings.HasPrefix(line, "|"):
			n = run(lines, func(l string) bool { return strings.HasPrefix(l, "|") })
			p.table(lines[:n])
		case strings.HasPrefix(line, "* "):
			p.b.WriteString(".IP \\(bu 2\n")
			p.text(line[2:])
			for n < len(lines) && strings.HasPrefix(lines[n], "  ") {
				p.text(strings.TrimSpace(lines[n]))
				n++
			}
		case strings.HasPrefix(line, "  "):
			n = run(lines, func(l string) bool { return strings.HasPrefix(l, "  ") })
			p.block(lines[:n])
		default:
			p.text(line)
		}
		lines = lines[min(n, len(lines)):]
	}
}

// run counts the lines at the start that are so.
func run(lines []string, is func(string) bool) int {
	for i, l := range lines {
		if !is(l) {
			return i
		}
	}
	return len(lines)
}

// term is a line of a list of terms: two spaces or some more, the term, at least two spaces, what it means.
var term = regexp.MustCompile(`^ {2,8}(\S+(?: \S+)*?)  +(\S.*)$`)

// block appends lines as they are, or, if they are a list of terms, that.
func (p *page) block(lines []string) {
	if len(lines) == 0 {
		return
	}
	if !term.MatchString(lines[0]) {
		p.b.WriteString(".PP\n.RS 2\n.nf\n")
		for _, l := range lines {
			p.b.WriteString(escape(l) + "\n")
		}
		p.b.WriteString(".fi\n.RE\n")
		return
	}
	for _, l := range lines {
		if m := term.FindStringSubmatch(l); m != nil {
			fmt.Fprintf(&p.b, ".TP\n\\fB%s\\fR\n%s\n", escape(m[1]), inline(m[2]))
		} else {
			p.text(strings.TrimSpace(l))
		}
	}
}

// table appends each row as a term with what the other columns say of it.
func (p *page) table(rows []string) {
	head := cells(rows[0])
	for _, row := range rows[min(2, len(rows)):] {
		row := cells(row)
		fmt.Fprintf(&p.b, ".TP\n%s\n", inline(row[0]))
		var said []string
		for i := 1; i < len(row) && i < len(head); i++ {
			if len(head) == 2 {
				said = append(said, inline(row[i]))
			} else {
				said = append(said, inline(head[i])+": "+inline(row[i]))
			}
		}
		p.b.WriteString(strings.Join(said, ";\n") + "\n")
	}
}

func cells(row string) []string {
	list := strings.Split(strings.Trim(row, "| "), "|")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

var (
	link = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)
	code = regexp.MustCompile("`([^`]+)`")
	bold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// inline is a line of text.
func inline(s string) string {
	s = escape(link.ReplaceAllString(s, "$1"))
	return bold.ReplaceAllString(code.ReplaceAllString(s, `\fB$1\fR`), `\fB$1\fR`)
}

// escape makes what roff would take for its own plain text.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
