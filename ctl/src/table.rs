//! Aligned columns.

/// Rows under headings; columns as wide as their widest cell, two spaces between them. A cell may be empty: `-`.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.map(|cell| if cell.is_empty() { "-".to_string() } else { cell });
        self.rows.push(cells.to_vec());
    }

    /// The lines, or `nothing` when there is no row below the headings.
    pub fn lines(&self, nothing: &str) -> String {
        if self.rows.len() == 1 {
            return nothing.to_string();
        }
        let columns = self.rows[0].len();
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
            cells.join("  ").trim_end().to_string()
        };
        self.rows.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["USER", "NAME"]);
        table.row(["door".into(), "Tür".into()]);
        table.row(["a".into(), String::new()]);
        assert_eq!(table.lines("nobody"), "USER  NAME\ndoor  Tür\na     -");
        assert_eq!(Table::new(&["USER"]).lines("nobody"), "nobody");
    }
}
